package auth_test

import (
	"testing"

	"github.com/topicwire/topicwire/broker/auth"
)

func TestKeysAreFoundUntilTheyAreDeleted(t *testing.T) {
	var keys auth.Keys
	if _, ok := keys.Find("AKIA1"); ok || keys.Len() != 0 {
		t.Error("an empty table has keys")
	}
	keys.Put(auth.Key{ID: "AKIA1", Secret: "old"})
	keys.Put(auth.Key{ID: "AKIA1", Secret: "new"})
	if k, ok := keys.Find("AKIA1"); !ok || k.Secret != "new" || keys.Len() != 1 {
		t.Errorf("%+v %t of %d, want the newer secret of one key", k, ok, keys.Len())
	}
	keys.Delete("AKIA1")
	if _, ok := keys.Find("AKIA1"); ok {
		t.Error("a deleted key is found")
	}
}
