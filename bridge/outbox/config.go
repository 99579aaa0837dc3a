package outbox

import "time"

// Config bounds what waits for functions, and what was given up.
type Config struct {
	MaxJobs  int           `yaml:"max_jobs" jsonschema:"minimum=0,example=1000000" jsonschema_description:"How many actions of QoS 1 and 2 messages may wait; 1,000,000 if left out."`
	MaxBytes int64         `yaml:"max_bytes" unit:"bytes" jsonschema:"example=256MB" jsonschema_description:"How much memory they may take; 256 MB if left out."`
	MaxAge   time.Duration `yaml:"max_age" jsonschema:"example=24h" jsonschema_description:"How old an action may become before it is given up, whatever its own max_age says. Left out, that alone counts: 6 hours unless the rule says otherwise."`
	WhenFull string        `yaml:"when_full" jsonschema:"enum=refuse,enum=drop_oldest" jsonschema_description:"What happens at these limits: refuse the new message (the default), which its publisher sends again, or drop_oldest: take it, and make a dead letter of the oldest action."`
	Dead     LettersConfig `yaml:"dead" jsonschema_description:"Bounds of the dead letters. The oldest goes when one is reached."`
	QoS0     QoS0Config    `yaml:"qos0" jsonschema_description:"Bounds of the queue that QoS 0 messages have in memory for each function. What finds no room is dropped."`
}

// LettersConfig bounds the dead letters.
type LettersConfig struct {
	MaxLetters int           `yaml:"max_letters" jsonschema:"minimum=0,example=10000" jsonschema_description:"How many are kept; 10,000 if left out."`
	MaxBytes   int64         `yaml:"max_bytes" unit:"bytes" jsonschema:"example=64MB" jsonschema_description:"How much memory they may take; 64 MB if left out."`
	MaxAge     time.Duration `yaml:"max_age" jsonschema:"example=14d" jsonschema_description:"How long each is kept; 14 days if left out."`
}

// QoS0Config bounds the queues of QoS 0 messages.
type QoS0Config struct {
	MaxJobs  int   `yaml:"max_jobs" jsonschema:"minimum=0,example=10000" jsonschema_description:"How many actions may wait for one function; 10,000 if left out."`
	MaxBytes int64 `yaml:"max_bytes" unit:"bytes" jsonschema:"example=16MB" jsonschema_description:"How much memory they may take; 16 MB if left out."`
}

// What is done at the limits.
const (
	refuse     = "refuse"
	dropOldest = "drop_oldest"
)

// The bounds of one function's QoS 0 queue: enough for a burst, little enough that
// what waits in it is still worth having.
const (
	defaultQoS0Jobs  = 10_000
	defaultQoS0Bytes = 16 << 20
)

// Check reports what is wrong with c.
func (c Config) Check(report func(path, problem, remedy string)) {
	for _, n := range [...]struct {
		path   string
		value  int64
		remedy string
	}{
		{"max_jobs", int64(c.MaxJobs), "write a number such as 1000000"},
		{"max_bytes", c.MaxBytes, "write a size such as 256MB"},
		{"max_age", int64(c.MaxAge), "write a duration such as 24h"},
		{"dead.max_letters", int64(c.Dead.MaxLetters), "write a number such as 10000"},
		{"dead.max_bytes", c.Dead.MaxBytes, "write a size such as 64MB"},
		{"dead.max_age", int64(c.Dead.MaxAge), "write a duration such as 14d"},
		{"qos0.max_jobs", int64(c.QoS0.MaxJobs), "write a number such as 10000"},
		{"qos0.max_bytes", c.QoS0.MaxBytes, "write a size such as 16MB"},
	} {
		if n.value < 0 {
			report(n.path, "is negative", n.remedy)
		}
	}
	switch c.WhenFull {
	case "", refuse, dropOldest:
	default:
		report("when_full", "is neither refuse nor drop_oldest", "write when_full: refuse or when_full: drop_oldest")
	}
}

// Limits bound the jobs of QoS 1 and 2 messages.
func (c Config) Limits() Limits {
	return Limits{Jobs: c.MaxJobs, Bytes: c.MaxBytes, Age: c.MaxAge, DropOldest: c.WhenFull == dropOldest}
}

// LetterLimits bound the dead letters.
func (c Config) LetterLimits() *LetterLimits {
	return &LetterLimits{Letters: c.Dead.MaxLetters, Bytes: c.Dead.MaxBytes, Age: c.Dead.MaxAge}
}

// QoS0Limits bound the jobs of QoS 0 messages.
func (c Config) QoS0Limits() Limits {
	l := Limits{QueueJobs: c.QoS0.MaxJobs, QueueBytes: c.QoS0.MaxBytes}
	if l.QueueJobs <= 0 {
		l.QueueJobs = defaultQoS0Jobs
	}
	if l.QueueBytes <= 0 {
		l.QueueBytes = defaultQoS0Bytes
	}
	return l
}
