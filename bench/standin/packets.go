package main

import (
	"encoding/binary"
	"net"
)

// echoPort is where hack/chaos counts packets. Its payloads begin with
//
//	V0                      comes back as it is
//	V1 MAC(6) IP(4)         goes on to that guest, which sends it back; then it comes back as V0
//	V2, V3 MAC(6) IP(4) PORT(2)   the same on its way there and back: who asked first
//	V4 FROM(4) IP(4) PORT(2)      goes on to there by whoever brought it, from that address, as V3: what sends it back is
//	                        no guest, but anybody who echoes
const echoPort = 7777

// icmp answers an echo request (RFC 792) of any length.
func icmp(ip, out []byte) []byte {
	header := int(ip[0]&15) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if total > len(ip) || total < header+8 || ip[header] != 8 {
		return nil
	}
	message := append([]byte{}, ip[header:total]...)
	message[0], message[2], message[3] = 0, 0, 0
	binary.BigEndian.PutUint16(message[2:], checksum(0, padded(message)))
	return append(append(out, ipv4(1, ip[16:20], ip[12:16], len(message))...), message...)
}

// udp answers on echoPort, whole frame in and out.
func udp(in []byte, mac net.HardwareAddr) []byte {
	ip := in[14:]
	header := int(ip[0]&15) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if total > len(ip) || total < header+8+2 || binary.BigEndian.Uint16(ip[header+2:]) != echoPort {
		return nil
	}
	me, peerMac, peer := ip[16:20], in[6:12], ip[12:16]
	peerPort := ip[header : header+2]
	payload := ip[header+8 : total]
	switch rest := payload[2:]; string(payload[:2]) {
	case "V0":
		return datagram(mac, me, peerMac, peer, peerPort, payload)
	case "V1":
		if len(rest) < 10 {
			return nil
		}
		on := append([]byte("V2"), peerMac...)
		on = append(append(append(on, peer...), peerPort...), rest[10:]...)
		return datagram(mac, me, rest[:6], rest[6:10], binary.BigEndian.AppendUint16(nil, echoPort), on)
	case "V4":
		if len(rest) < 10 {
			return nil
		}
		on := append([]byte("V3"), peerMac...)
		on = append(append(append(on, peer...), peerPort...), rest[10:]...)
		return datagram(mac, rest[:4], peerMac, rest[4:8], rest[8:10], on)
	case "V2":
		return datagram(mac, me, peerMac, peer, peerPort, append([]byte("V3"), rest...))
	case "V3":
		if len(rest) < 12 {
			return nil
		}
		return datagram(mac, me, rest[:6], rest[6:10], rest[10:12], append([]byte("V0"), rest[12:]...))
	}
	return nil
}

// datagram is a whole frame; a UDP checksum of 0 means none (RFC 768).
func datagram(fromMac, from, toMac, to, port, payload []byte) []byte {
	frame := append(append([]byte{}, toMac...), fromMac...)
	frame = append(frame, 8, 0)
	frame = append(frame, ipv4(17, from, to, 8+len(payload))...)
	frame = binary.BigEndian.AppendUint16(frame, echoPort)
	frame = append(frame, port...)
	frame = binary.BigEndian.AppendUint16(frame, uint16(8+len(payload)))
	frame = append(frame, 0, 0)
	return append(frame, payload...)
}

func ipv4(protocol byte, from, to []byte, length int) []byte {
	header := make([]byte, 20)
	header[0], header[8], header[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(header[2:], uint16(20+length))
	copy(header[12:], from)
	copy(header[16:], to)
	binary.BigEndian.PutUint16(header[10:], checksum(0, header))
	return header
}

// padded is the bytes with a zero behind where their count is odd; checksum reads pairs.
func padded(bytes []byte) []byte {
	if len(bytes)%2 == 0 {
		return bytes
	}
	return append(append([]byte{}, bytes...), 0)
}
