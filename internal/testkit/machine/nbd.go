package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// What the Network Block Device protocol calls things: doc/proto.md of the NBD project.
const (
	nbdMagic       = 0x4e42444d41474943 // NBDMAGIC
	nbdOption      = 0x49484156454F5054 // IHAVEOPT
	nbdOptionReply = 0x3e889045565a9
	nbdRequest     = 0x25609513
	nbdReply       = 0x67446698

	flagFixedNewstyle, flagNoZeroes    = 1, 2
	flagHasFlags, flagFlush, flagFUA   = 1, 4, 8
	optAbort, optGo                    = 2, 7
	repAck, repInfo, repUnsupported    = 1, 3, 1<<31 + 1
	cmdRead, cmdWrite, cmdEnd, cmdSync = 0, 1, 2, 3
	cmdFlagFUA                         = 1

	mostAtOnce = 64 << 20 // no request is larger
)

var errProtocol = errors.New("the emulator does not speak the protocol")

// serve serves the disk on one connection until that ends.
func (d *Disk) serve(c net.Conn) error {
	defer func() { _ = c.Close() }()
	if err := d.greet(c); err != nil {
		return err
	}
	var head [28]byte
	var buf []byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err // the power is cut
		}
		if binary.BigEndian.Uint32(head[:]) != nbdRequest {
			return errProtocol
		}
		flags, kind := binary.BigEndian.Uint16(head[4:]), binary.BigEndian.Uint16(head[6:])
		at, n := int64(binary.BigEndian.Uint64(head[16:])), int(binary.BigEndian.Uint32(head[24:]))
		if kind != cmdSync && kind != cmdEnd && (n > mostAtOnce || at < 0 || at+int64(n) > d.size) {
			return fmt.Errorf("%w: %d bytes at %d of a disk of %d", errProtocol, n, at, d.size)
		}
		reply := binary.BigEndian.AppendUint32(buf[:0], nbdReply)
		reply = append(reply, 0, 0, 0, 0)
		reply = append(reply, head[8:16]...)
		switch kind {
		case cmdRead:
			reply = append(reply, make([]byte, n)...)
			d.read(at, reply[16:])
		case cmdWrite:
			b := make([]byte, n)
			if _, err := io.ReadFull(c, b); err != nil {
				return err
			}
			d.write(at, b, flags&cmdFlagFUA != 0)
		case cmdSync:
			d.flush()
		case cmdEnd:
			return nil
		default:
			return fmt.Errorf("%w: request %d", errProtocol, kind)
		}
		if _, err := c.Write(reply); err != nil {
			return err
		}
		buf = reply
	}
}

// greet agrees with the emulator on the disk that both mean.
func (d *Disk) greet(c net.Conn) error {
	hello := binary.BigEndian.AppendUint64(nil, nbdMagic)
	hello = binary.BigEndian.AppendUint64(hello, nbdOption)
	hello = binary.BigEndian.AppendUint16(hello, flagFixedNewstyle|flagNoZeroes)
	if _, err := c.Write(hello); err != nil {
		return err
	}
	var flags [4]byte
	if _, err := io.ReadFull(c, flags[:]); err != nil {
		return err
	}
	export := binary.BigEndian.AppendUint64(nil, uint64(d.size))
	export = binary.BigEndian.AppendUint16(export, flagHasFlags|flagFlush|flagFUA)
	for {
		var head [16]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		option, n := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
		if binary.BigEndian.Uint64(head[:]) != nbdOption || n > 1<<16 {
			return errProtocol
		}
		if _, err := io.CopyN(io.Discard, c, int64(n)); err != nil {
			return err
		}
		var err error
		switch option {
		case optGo:
			return errors.Join(optionReply(c, option, repInfo, append([]byte{0, 0}, export...)), optionReply(c, option, repAck, nil))
		case optAbort:
			return errors.Join(optionReply(c, option, repAck, nil), net.ErrClosed)
		default:
			err = optionReply(c, option, repUnsupported, nil)
		}
		if err != nil {
			return err
		}
	}
}

func optionReply(c net.Conn, option, kind uint32, data []byte) error {
	b := binary.BigEndian.AppendUint64(nil, nbdOptionReply)
	b = binary.BigEndian.AppendUint32(b, option)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	_, err := c.Write(append(b, data...))
	return err
}
