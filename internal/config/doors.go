package config

// Doors is the section `doors`: the AWS interfaces on the HTTP listener.
type Doors struct {
	Lambda  Door `yaml:"lambda" jsonschema:"enum=auto,enum=off" jsonschema_description:"AWS Lambda's interface, for --endpoint-url: invoke the functions of this configuration. auto, the default, serves it; off does not."`
	IoTData Door `yaml:"iot_data" jsonschema:"enum=auto,enum=off" jsonschema_description:"AWS IoT's data plane, for --endpoint-url: publish, read retained messages, look after clients. auto, the default, serves it; off does not."`
}

// Door says whether a door is there.
type Door string

// The values of a Door; empty is DoorAuto.
const (
	DoorAuto Door = "auto"
	DoorOff  Door = "off"
)

// On reports whether the door is served.
func (d Door) On() bool { return d != DoorOff }

// String says which doors there are, for people; empty for none.
func (d Doors) String() string {
	switch {
	case d.Lambda.On() && d.IoTData.On():
		return "AWS Lambda, IoT data plane"
	case d.Lambda.On():
		return "AWS Lambda"
	case d.IoTData.On():
		return "AWS IoT data plane"
	default:
		return ""
	}
}
