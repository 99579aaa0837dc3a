package sql_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules/sql"
)

func ExampleProgram_Run() {
	p, err := sql.Compile("SELECT temperature, topic(2) AS site FROM 'plant/+/data' WHERE temperature > 30", sql.V20160323)
	if err != nil {
		panic(err)
	}
	in := sql.NewInput(&message.Message{Topic: "plant/berlin/data", Payload: []byte(`{"temperature": 31.5}`)}, world{})
	defer in.Release()
	out, matched, err := p.Run(context.Background(), in)
	fmt.Println(string(out), matched, err)
	// Output: {"temperature":31.5,"site":"berlin"} true <nil>
}

func ExampleTemplate_Render() {
	t, err := sql.CompileTemplate("plant/${topic(2)}/alert", sql.V20160323, nil)
	if err != nil {
		panic(err)
	}
	in := sql.NewInput(&message.Message{Topic: "plant/berlin/data"}, world{})
	defer in.Release()
	s, err := t.Render(context.Background(), in)
	fmt.Println(s, err)
	// Output: plant/berlin/alert <nil>
}

func ExampleError() {
	_, err := sql.Compile("SELECT uper(name) FROM 'a/b'", "")
	if e, ok := errors.AsType[*sql.Error](err); ok {
		fmt.Printf("%v\n%s\n", e, e.Snippet)
	}
	// Output:
	// 1:8: unknown function uper(): did you mean upper()?
	// SELECT uper(name) FROM 'a/b'
	//        ^
}
