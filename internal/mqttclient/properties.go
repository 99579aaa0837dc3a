package mqttclient

// UserProperty is one name and value of a User Property.
type UserProperty struct{ Key, Value string }

// Properties are the properties of one MQTT 5 packet (section 2.2.2), whichever its
// type. The zero value of a field says that the property is absent; where zero has a
// meaning of its own the field is a pointer. MQTT 3.1.1 has none: they are not sent then.
type Properties struct {
	PayloadFormat     *byte   // 0 bytes, 1 UTF-8
	MessageExpiry     *uint32 // seconds
	ContentType       string
	ResponseTopic     string
	CorrelationData   []byte
	SubscriptionIDs   []uint32
	SessionExpiry     *uint32 // seconds; 0xFFFFFFFF never
	AssignedClientID  string
	ServerKeepAlive   *uint16 // seconds
	AuthMethod        string
	AuthData          []byte
	RequestProblem    *byte
	WillDelay         *uint32 // seconds
	RequestResponse   *byte
	ResponseInfo      string
	ServerReference   string
	ReasonString      string
	ReceiveMaximum    uint16
	TopicAliasMaximum *uint16
	TopicAlias        uint16
	MaximumQoS        *byte
	RetainAvailable   *byte
	User              []UserProperty
	MaximumPacketSize uint32
	WildcardAvailable *byte
	SubIDAvailable    *byte
	SharedAvailable   *byte
}

// Property identifiers (MQTT 5, section 2.2.2.2).
const (
	propPayloadFormat     = 0x01
	propMessageExpiry     = 0x02
	propContentType       = 0x03
	propResponseTopic     = 0x08
	propCorrelationData   = 0x09
	propSubscriptionID    = 0x0b
	propSessionExpiry     = 0x11
	propAssignedClientID  = 0x12
	propServerKeepAlive   = 0x13
	propAuthMethod        = 0x15
	propAuthData          = 0x16
	propRequestProblem    = 0x17
	propWillDelay         = 0x18
	propRequestResponse   = 0x19
	propResponseInfo      = 0x1a
	propServerReference   = 0x1c
	propReasonString      = 0x1f
	propReceiveMaximum    = 0x21
	propTopicAliasMaximum = 0x22
	propTopicAlias        = 0x23
	propMaximumQoS        = 0x24
	propRetainAvailable   = 0x25
	propUser              = 0x26
	propMaximumPacketSize = 0x27
	propWildcardAvailable = 0x28
	propSubIDAvailable    = 0x29
	propSharedAvailable   = 0x2a
)

// properties appends a property block, its length first.
func (e *encoder) properties(p *Properties) {
	at := len(e.b)
	e.byte(0)
	e.optByte(propPayloadFormat, p.PayloadFormat)
	e.optUint32(propMessageExpiry, p.MessageExpiry)
	e.optString(propContentType, p.ContentType)
	e.optString(propResponseTopic, p.ResponseTopic)
	e.optBinary(propCorrelationData, p.CorrelationData)
	for _, id := range p.SubscriptionIDs {
		e.byte(propSubscriptionID)
		e.b = AppendVarint(e.b, int(min(id, MaxRemaining)))
	}
	e.optUint32(propSessionExpiry, p.SessionExpiry)
	e.optString(propAssignedClientID, p.AssignedClientID)
	e.optUint16(propServerKeepAlive, p.ServerKeepAlive)
	e.optString(propAuthMethod, p.AuthMethod)
	e.optBinary(propAuthData, p.AuthData)
	e.optByte(propRequestProblem, p.RequestProblem)
	e.optUint32(propWillDelay, p.WillDelay)
	e.optByte(propRequestResponse, p.RequestResponse)
	e.optString(propResponseInfo, p.ResponseInfo)
	e.optString(propServerReference, p.ServerReference)
	e.optString(propReasonString, p.ReasonString)
	if p.ReceiveMaximum != 0 {
		e.optUint16(propReceiveMaximum, &p.ReceiveMaximum)
	}
	e.optUint16(propTopicAliasMaximum, p.TopicAliasMaximum)
	if p.TopicAlias != 0 {
		e.optUint16(propTopicAlias, &p.TopicAlias)
	}
	e.optByte(propMaximumQoS, p.MaximumQoS)
	e.optByte(propRetainAvailable, p.RetainAvailable)
	for _, u := range p.User {
		e.byte(propUser)
		e.string(u.Key)
		e.string(u.Value)
	}
	if p.MaximumPacketSize != 0 {
		e.optUint32(propMaximumPacketSize, &p.MaximumPacketSize)
	}
	e.optByte(propWildcardAvailable, p.WildcardAvailable)
	e.optByte(propSubIDAvailable, p.SubIDAvailable)
	e.optByte(propSharedAvailable, p.SharedAvailable)
	e.length(at)
}

func (e *encoder) optByte(id byte, v *byte) {
	if v != nil {
		e.b = append(e.b, id, *v)
	}
}

func (e *encoder) optUint16(id byte, v *uint16) {
	if v != nil {
		e.byte(id)
		e.uint16(*v)
	}
}

func (e *encoder) optUint32(id byte, v *uint32) {
	if v != nil {
		e.byte(id)
		e.uint32(*v)
	}
}

func (e *encoder) optString(id byte, v string) {
	if v != "" {
		e.byte(id)
		e.string(v)
	}
}

func (e *encoder) optBinary(id byte, v []byte) {
	if v != nil {
		e.byte(id)
		e.binary(v)
	}
}

// properties takes a property block. A property that comes twice keeps its last
// value: this client is lenient where only a server must refuse.
func (d *decoder) properties(p *Properties) {
	block := decoder{b: d.take(d.varint()), err: d.err}
	for len(block.b) > 0 && block.err == nil {
		block.property(p)
	}
	if d.err == nil {
		d.err = block.err
	}
}

func (d *decoder) property(p *Properties) {
	switch id := d.varint(); id {
	case propPayloadFormat:
		p.PayloadFormat = new(d.byte())
	case propMessageExpiry:
		p.MessageExpiry = new(d.uint32())
	case propContentType:
		p.ContentType = d.string()
	case propResponseTopic:
		p.ResponseTopic = d.string()
	case propCorrelationData:
		p.CorrelationData = d.binary()
	case propSubscriptionID:
		p.SubscriptionIDs = append(p.SubscriptionIDs, uint32(d.varint()))
	case propSessionExpiry:
		p.SessionExpiry = new(d.uint32())
	case propAssignedClientID:
		p.AssignedClientID = d.string()
	case propServerKeepAlive:
		p.ServerKeepAlive = new(d.uint16())
	case propAuthMethod:
		p.AuthMethod = d.string()
	case propAuthData:
		p.AuthData = d.binary()
	case propRequestProblem:
		p.RequestProblem = new(d.byte())
	case propWillDelay:
		p.WillDelay = new(d.uint32())
	case propRequestResponse:
		p.RequestResponse = new(d.byte())
	case propResponseInfo:
		p.ResponseInfo = d.string()
	case propServerReference:
		p.ServerReference = d.string()
	case propReasonString:
		p.ReasonString = d.string()
	case propReceiveMaximum:
		p.ReceiveMaximum = d.uint16()
	case propTopicAliasMaximum:
		p.TopicAliasMaximum = new(d.uint16())
	case propTopicAlias:
		p.TopicAlias = d.uint16()
	case propMaximumQoS:
		p.MaximumQoS = new(d.byte())
	case propRetainAvailable:
		p.RetainAvailable = new(d.byte())
	case propUser:
		key := d.string()
		p.User = append(p.User, UserProperty{Key: key, Value: d.string()})
	case propMaximumPacketSize:
		p.MaximumPacketSize = d.uint32()
	case propWildcardAvailable:
		p.WildcardAvailable = new(d.byte())
	case propSubIDAvailable:
		p.SubIDAvailable = new(d.byte())
	case propSharedAvailable:
		p.SharedAvailable = new(d.byte())
	default:
		d.fail("property 0x%02x is unknown", id)
	}
}
