package sql

import "errors"

// What a statement may ask for and a payload may hold. They keep a rule that somebody
// else wrote, or a message that somebody else sent, from eating memory or time.
const (
	maxSource       = 256 << 10 // bytes of a statement or template; AWS's limit for a whole rule document
	maxNesting      = 100       // parentheses, calls, literals and queries inside each other
	maxChain        = 1000      // operators in a row: a + b + c ...
	maxAliasParts   = 32        // names in a dotted alias
	maxPayloadDepth = 512       // arrays and objects inside each other; a deeper payload counts as binary
	maxVariables    = 10        // SET variables of a statement [AWS]
	maxVariableName = 64        // characters of a variable's name [AWS]
	maxVariableSize = 128 << 10 // bytes of one variable, and of all of a statement, as JSON [AWS]
	maxTransform    = 128 << 10 // bytes of what transform() gives, as JSON [AWS]
	maxPad          = 1000      // spaces that lpad and rpad add [AWS]
	maxPattern      = 4096      // bytes of a regular expression or time pattern
	maxRegexpSize   = 5000      // instructions of a compiled regular expression
	maxNumber       = 4096      // characters of a number that is calculated with
	maxSnippet      = 120       // characters of the source line that an error shows
	maxMeant        = 100       // bytes of a word for which one like it is looked for

	maxWarnings = 50 // of one statement; there are no more after that

	// maxWork bounds one run: each unit is about a byte written or 20 nanoseconds, so
	// it bounds memory as well as time.
	maxWork = 32 << 20
	// maxFoldWork bounds what is computed while a statement is compiled.
	maxFoldWork = 2 << 20
)

// ErrTooMuchWork is what Run and Render return for a statement that, on this message,
// would take or produce more than its share. get_or_default does not catch it.
var ErrTooMuchWork = errors.New("the statement does more work on this message than it may")

// ErrVariableSize is what Run and Render return if the SET variables hold more than
// 128 KiB.
var ErrVariableSize = errors.New("SET variables hold more than 128 KiB")
