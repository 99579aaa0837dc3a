package function

import (
	"bytes"
	"unicode/utf8"
)

// wholeRunes hands on the pieces of a streamed answer. A character that is cut in two by
// the end of a piece is held back for the next one, so that text stays text.
type wholeRunes struct {
	take func(Chunk) error
	held []byte
}

// piece takes a piece over.
func (w *wholeRunes) piece(data []byte) error {
	if len(w.held) > 0 {
		data = append(w.held, data...)
	}
	whole := len(data) - cutRune(data)
	w.held = bytes.Clone(data[whole:])
	if whole == 0 {
		return nil
	}
	return w.take(Chunk{Data: data[:whole:whole]})
}

// end hands on what is still held: it is no text.
func (w *wholeRunes) end() error {
	if len(w.held) == 0 {
		return nil
	}
	rest := w.held
	w.held = nil
	return w.take(Chunk{Data: rest})
}

// cutRune is how many bytes at the end of b begin a UTF-8 character and do not end it.
func cutRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
