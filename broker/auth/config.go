package auth

// Config says who may connect, and what they may do.
type Config struct {
	PolicyConfig `yaml:",inline"`
}
