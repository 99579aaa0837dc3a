package outbox

import "time"

// LetterLimits bound the dead letters. 0 means the default.
type LetterLimits struct {
	Letters int           // how many are kept
	Bytes   int64         // their size
	Age     time.Duration // since they were given up
}

// The default limits of dead letters. The age is the longest that SQS keeps a message.
const (
	DefaultLetters     = 10_000
	DefaultLetterBytes = 64 << 20
	DefaultLetterAge   = 14 * 24 * time.Hour
)

func (l LetterLimits) withDefaults() LetterLimits {
	if l.Letters <= 0 {
		l.Letters = DefaultLetters
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultLetterBytes
	}
	if l.Age <= 0 {
		l.Age = DefaultLetterAge
	}
	return l
}

// Letter is a dead letter as others see it: a job that was given up, with every
// attempt's failure. Everything in it is read-only.
type Letter struct {
	Entry
	// Replaying says that it is being tried again.
	Replaying bool
}

// letters are the dead letters, in the order in which they were given up.
type letters struct {
	limits  LetterLimits
	metrics *metrics
	list    []*Work // from head on; nil where one is gone
	head    int
	index   map[*Work]int // place in list
	bytes   int64
	sweep   *alarm // when the oldest is too old
}

func newLetters(l LetterLimits, m *metrics) *letters {
	return &letters{limits: l, metrics: m, index: make(map[*Work]int)}
}

func (l *letters) add(w *Work) {
	w.letter, w.letterSize = true, w.weight()
	l.index[w] = len(l.list)
	l.list = append(l.list, w)
	l.bytes += w.letterSize
	l.gauge()
}

func (l *letters) remove(w *Work) {
	i, ok := l.index[w]
	if !ok {
		return
	}
	w.letter = false
	delete(l.index, w)
	l.list[i] = nil
	l.bytes -= w.letterSize
	for l.head < len(l.list) && l.list[l.head] == nil {
		l.head++
	}
	if gaps := len(l.list) - len(l.index); gaps > 64 && gaps > len(l.index) {
		l.compact()
	}
	l.gauge()
}

func (l *letters) compact() {
	kept := make([]*Work, 0, len(l.index))
	for _, w := range l.list[l.head:] {
		if w != nil {
			l.index[w] = len(kept)
			kept = append(kept, w)
		}
	}
	l.list, l.head = kept, 0
}

func (l *letters) gauge() {
	l.metrics.letters.Set(float64(len(l.index)))
	l.metrics.letterBytes.Set(float64(l.bytes))
}

// bury makes a dead letter of a work that was given up, or keeps it one.
func (o *Outbox) bury(w *Work) {
	if o.letters == nil {
		o.gone = append(o.gone, w.Seq)
		return
	}
	if w.letter {
		if _, there := o.letters.index[w]; there { // its last death counts
			o.letters.remove(w)
			o.letters.add(w)
			o.trim()
		}
		return
	}
	w.Job.Local = nil
	w.group, w.queue, w.most = nil, nil, 0
	o.letters.add(w)
	o.trim()
}

// trim drops the oldest dead letters until they are within their limits.
func (o *Outbox) trim() {
	l := o.letters
	if l == nil {
		return
	}
	now := time.Now()
	for l.head < len(l.list) {
		w := l.list[l.head]
		var why string
		switch {
		case w == nil:
			l.head++
			continue
		case len(l.index) > l.limits.Letters:
			why = "letters_count"
		case l.bytes > l.limits.Bytes:
			why = "letters_bytes"
		case now.Sub(w.State.Dead) > l.limits.Age:
			why = "letters_age"
		default:
			if l.sweep == nil {
				l.sweep = o.clock.set(w.State.Dead.Add(l.limits.Age+time.Second), func() {
					l.sweep = nil
					o.trim()
				})
			}
			return
		}
		o.metrics.dropped(why)
		o.dropLetter(w)
	}
}

// dropLetter forgets a dead letter. One that is being tried again goes when that has
// come to its end.
func (o *Outbox) dropLetter(w *Work) {
	if w.Replay {
		if !o.waiting(w) {
			w.drop = true
			o.letters.remove(w)
			w.letter = true // for the worker that has it
			return
		}
		o.remove(w)
	}
	o.letters.remove(w)
	o.gone = append(o.gone, w.Seq)
}

// each calls f for the dead letters from the oldest job on.
func (o *Outbox) each(f func(*Work)) {
	if o.letters == nil {
		return
	}
	for _, w := range o.letters.list[o.letters.head:] {
		if w != nil {
			f(w)
		}
	}
}
