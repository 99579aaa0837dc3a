package sql

import (
	"crypto/md5"  //nolint:gosec // md5() is part of the language
	"crypto/sha1" //nolint:gosec // sha1() is part of the language
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"
)

// codecFunctions turn text into other text: hashes and encodings.
func codecFunctions() []Function {
	// schemes warns of a scheme that is none of the known ones.
	schemes := func(name, list string, known ...string) func(int, value) (string, bool) {
		return func(arg int, v value) (string, bool) {
			if arg == 1 && v.kind == kindString && !slices.Contains(known, v.s) {
				return name + "() knows the scheme " + list + "; with any other it is always Undefined", false
			}
			return "", false
		}
	}
	return []Function{
		hash("md2", func(s string) []byte { h := md2([]byte(s)); return h[:] },
			Example{"md2('')", `"8350e5a3e24c153df2275c9f80692773"`}, Example{"md2('abc')", `"da853b0d3f88d99b30283a69e6ded6bb"`}, Example{"md2(null)", ""}),
		hash("md5", func(s string) []byte { h := md5.Sum([]byte(s)); return h[:] }, //nolint:gosec // part of the language
			Example{"md5('hello')", `"5d41402abc4b2a76b9719d911017c592"`}, Example{"md5(5)", `"e4da3b7fbbce2345d7772b0674a318d5"`}, Example{"md5(null)", ""}),
		hash("sha1", func(s string) []byte { h := sha1.Sum([]byte(s)); return h[:] }, //nolint:gosec // part of the language
			Example{"sha1('hello')", `"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"`}, Example{"sha1(true) = sha1('true')", "true"}, Example{"sha1(null)", ""}),
		hash("sha224", func(s string) []byte { h := sha256.Sum224([]byte(s)); return h[:] },
			Example{"sha224('hello')", `"ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193"`}, Example{"length(sha224(1))", "56"}, Example{"sha224(null)", ""}),
		hash("sha256", func(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] },
			Example{"sha256('hello')", `"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`}, Example{"length(sha256(1))", "64"}, Example{"sha256(null)", ""}),
		hash("sha384", func(s string) []byte { h := sha512.Sum384([]byte(s)); return h[:] },
			Example{"sha384('hello')", `"59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f"`}, Example{"length(sha384(1))", "96"}, Example{"sha384(null)", ""}),
		hash("sha512", func(s string) []byte { h := sha512.Sum512([]byte(s)); return h[:] },
			Example{"sha512('hello')", `"9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"`}, Example{"length(sha512(1))", "128"}, Example{"sha512(null)", ""}),
		{
			Name: "encode", Signature: "encode(value, 'base64')", Since: V20160323,
			Text:     "The value in base64; encode(*, 'base64') encodes the bytes of the payload, whatever they are.",
			Examples: []Example{{"encode('hi', 'base64')", `"aGk="`}, {"encode(12, 'base64')", `"MTI="`}, {"encode('hi', 'hex')", ""}, {"encode(null, 'base64')", ""}},
			min:      2, max: 2, params: []param{textArg, stringOnly}, lint: schemes("encode", "'base64'", "base64"),
			call: func(in *Input, a []value, _ *memo) value {
				if a[1].s != "base64" || !in.spend(2*len(a[0].s)) {
					return undefined
				}
				return text(base64.StdEncoding.EncodeToString([]byte(a[0].s)))
			},
		},
		{
			Name: "decode", Signature: "decode(value, 'base64') or decode(value, 'proto', bucket, key, file, message)", Since: V20160323,
			Text:     "The text that base64 stands for; if that is JSON, its value; Null if it is no base64. With 'proto', the JSON of a protobuf message whose descriptors are in a FileDescriptorSet, BUCKET/KEY in the folder rules.descriptors.",
			Examples: []Example{{"decode('aGk=', 'base64')", `"hi"`}, {"decode('eyJhIjoxfQ==', 'base64').a", "1"}, {"decode('ODA=', 'base64') > 50", "true"}, {"decode('%', 'base64')", "null"}, {"decode('aGk=', 'hex')", ""}, {"decode(null, 'base64')", ""}},
			min:      2, max: 6, params: []param{textArg, stringOnly}, lint: schemes("decode", "'base64' and 'proto'", "base64", "proto"),
			call: func(in *Input, a []value, _ *memo) value {
				if a[1].s != "base64" || len(a) != 2 || !in.spend(2*len(a[0].s)) {
					return undefined
				}
				return in.decodeBase64(a[0].s)
			},
		},
	}
}

func hash(name string, sum func(string) []byte, examples ...Example) Function {
	return ofText(name, "The "+strings.ToUpper(name)+" hash of the text in hexadecimal digits.", 1, func(in *Input, a []value) value {
		if !in.spend(2 * len(a[0].s)) {
			return undefined
		}
		return text(hex.EncodeToString(sum(a[0].s)))
	}, examples...)
}

// decodeBase64 is decode(s, 'base64'). The padding may be missing, as for Java.
func (in *Input) decodeBase64(s string) value {
	if strings.ContainsAny(s, "\r\n") { // Go's decoder would pass over them
		return null
	}
	body := strings.TrimRight(s, "=")
	if pad := len(s) - len(body); pad > 0 && (len(s)%4 != 0 || pad > 2) {
		return null
	}
	b, err := base64.RawStdEncoding.DecodeString(body)
	if err != nil {
		return null
	}
	return in.parseJSON(toUTF8(string(b)))
}

// parseJSON gives the value that text is as JSON, or else the text as a String.
func (in *Input) parseJSON(s string) value {
	if start, end, as, ok := validate(s); ok {
		return jsonValue(s[start:end], as, in.whole)
	}
	return text(s)
}

// toUTF8 replaces every byte that is no UTF-8 by U+FFFD.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
