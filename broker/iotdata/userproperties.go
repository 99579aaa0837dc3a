package iotdata

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"

	"github.com/topicwire/topicwire/message"
)

var errUserProperties = errors.New("write a JSON array of objects whose values are strings")

// decodeUserProperties reads base64 of a JSON array such as [{"deviceName":"alpha"}], in
// the order in which it is written.
func decodeUserProperties(s string) ([]message.UserProperty, error) {
	doc, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, invalid("userProperties is not base64")
	}
	list, err := parseUserProperties(doc)
	if err != nil {
		return nil, invalid("userProperties: %v", err)
	}
	return list, nil
}

// parseUserProperties goes through the tokens, because a map would lose their order.
func parseUserProperties(doc []byte) ([]message.UserProperty, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	delim := func(want json.Delim) error {
		t, err := d.Token()
		if err != nil || t != want {
			return errUserProperties
		}
		return nil
	}
	word := func() (string, error) {
		t, err := d.Token()
		s, ok := t.(string)
		if err != nil || !ok || !text(s) {
			return "", errUserProperties
		}
		return s, nil
	}
	if err := delim('['); err != nil {
		return nil, err
	}
	var list []message.UserProperty
	for d.More() {
		if err := delim('{'); err != nil {
			return nil, err
		}
		for d.More() {
			key, err := word()
			if err != nil {
				return nil, err
			}
			value, err := word()
			if err != nil {
				return nil, err
			}
			list = append(list, message.UserProperty{Key: key, Value: value})
		}
		if err := delim('}'); err != nil {
			return nil, err
		}
	}
	if err := delim(']'); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errUserProperties
	}
	return list, nil
}

// encodeUserProperties is the other direction, without the base64 that JSON gives bytes.
func encodeUserProperties(list []message.UserProperty) []byte {
	if len(list) == 0 {
		return nil
	}
	objects := make([]map[string]string, len(list))
	for i, p := range list {
		objects[i] = map[string]string{p.Key: p.Value}
	}
	doc, err := json.Marshal(objects)
	if err != nil { // strings always marshal
		return nil
	}
	return doc
}
