// The stand-in VMM of bench/run and hack/chaos: what vmlet asks of qemu-system-x86_64, without a guest. It says by UDP
// that it runs, speaks QMP, has a serial socket, and answers ARP, ping, an echo port and TCP on its tap as a guest with
// open ports would, so that everything around the guest is real and the guest itself costs nothing.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// report is where the driver listens for "started <uuid>"; set when it is built.
var report = "127.0.0.1:9"

// late is how a guest that boots is played, set when it is built: "SILENT,LEAST,MOST" in milliseconds. Its network says
// nothing for the first, then refuses every connection for a time between the others, and "open <uuid>" is reported when
// it does no longer. Empty: everything is open at once.
var late = ""

var silent, refusing atomic.Bool

func main() {
	if len(os.Args) == 2 && (os.Args[1] == "--version" || os.Args[1] == "-version") {
		fmt.Println("QEMU emulator version 9.9.9 (stand-in)")
		return
	}
	uuid := after("-uuid")
	say("started " + uuid)
	if late != "" {
		silent.Store(true)
		refusing.Store(true)
		go boot(uuid)
	}
	go serial(chardev("serial"))
	for i, arg := range os.Args {
		if arg == "-netdev" {
			mac := option(os.Args[i+3], "mac")
			tap, err := openTap(option(os.Args[i+1], "ifname"))
			if err != nil {
				fail("tap", err)
			}
			go guest(tap, mac, address(mac))
		}
	}
	qmp(chardev("qmp"), uuid)
}

func say(word string) {
	if socket, err := net.Dial("udp", report); err == nil {
		fmt.Fprint(socket, word)
		socket.Close()
	}
}

func boot(uuid string) {
	var quiet, least, most int
	if _, err := fmt.Sscanf(late, "%d,%d,%d", &quiet, &least, &most); err != nil {
		fail("late", err)
	}
	time.Sleep(time.Duration(quiet) * time.Millisecond)
	silent.Store(false)
	time.Sleep(time.Duration(least+rand.IntN(most-least)) * time.Millisecond)
	refusing.Store(false)
	say("open " + uuid)
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "stand-in: %s: %v\n", what, err)
	os.Exit(1)
}

func after(flag string) string {
	for i, arg := range os.Args[:len(os.Args)-1] {
		if arg == flag {
			return os.Args[i+1]
		}
	}
	return ""
}

// option finds key=value in a comma-separated list; no path of a benchmark holds a comma.
func option(list, key string) string {
	for _, part := range strings.Split(list, ",") {
		if value, found := strings.CutPrefix(part, key+"="); found {
			return value
		}
	}
	return ""
}

// chardev is the socket path of the -chardev of that id; its log file is made on the way.
func chardev(id string) string {
	for i, arg := range os.Args {
		if arg == "-chardev" && option(os.Args[i+1], "id") == id {
			if log := option(os.Args[i+1], "logfile"); log != "" {
				if file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
					fmt.Fprintln(file, "stand-in guest booted")
					file.Close()
				}
			}
			return option(os.Args[i+1], "path")
		}
	}
	return ""
}

// address is what the cloud-init seed gives the NIC with that MAC, nil where it says nothing.
func address(mac string) net.IP {
	path := regexp.MustCompile(`/[^,"]*/seed\.img`).FindString(strings.Join(os.Args, " "))
	seed, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	config := regexp.MustCompile(regexp.QuoteMeta(mac) + `(?s).{1,200}?addresses:\s*- "?([0-9.]+)/`)
	if found := config.FindSubmatch(seed); found != nil {
		return net.ParseIP(string(found[1])).To4()
	}
	return nil
}

func listen(path string) net.Listener {
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		fail("listen on "+filepath.Base(path), err)
	}
	return listener
}

func serial(path string) {
	listener := listen(path)
	for {
		if _, err := listener.Accept(); err != nil {
			return
		}
	}
}

func qmp(path, uuid string) {
	var off atomic.Bool
	listener := listen(path)
	for {
		connection, err := listener.Accept()
		if err != nil {
			fail("accept", err)
		}
		// One client at a time, as QEMU serves them.
		talk(connection, uuid, &off)
	}
}

func talk(connection net.Conn, uuid string, off *atomic.Bool) {
	defer connection.Close()
	fmt.Fprintln(connection, `{"QMP": {"version": {"qemu": {"micro": 9, "minor": 9, "major": 9}}, "capabilities": []}}`)
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		var command struct {
			Execute string `json:"execute"`
		}
		json.Unmarshal(lines.Bytes(), &command)
		switch command.Execute {
		case "query-status":
			status := "running"
			if off.Load() {
				status = "shutdown"
			}
			fmt.Fprintf(connection, "{\"return\": {\"status\": %q, \"running\": %t}}\n", status, !off.Load())
		case "query-uuid":
			fmt.Fprintf(connection, "{\"return\": {\"UUID\": %q}}\n", uuid)
		case "system_powerdown":
			off.Store(true)
			fmt.Fprintln(connection, `{"return": {}}`)
		case "quit":
			fmt.Fprintln(connection, `{"return": {}}`)
			os.Exit(0)
		default:
			fmt.Fprintln(connection, `{"return": {}}`)
		}
	}
}

func openTap(name string) (int, error) {
	// Blocking, in a thread of its own: a read that waits costs nothing.
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var request [40]byte
	copy(request[:15], name)
	// IFF_TAP | IFF_NO_PI (linux/if_tun.h); TUNSETIFF.
	binary.NativeEndian.PutUint16(request[16:], 0x1002)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0x400454ca, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return -1, errno
	}
	return fd, nil
}

// guest answers ARP for its own address and accepts every TCP connection; who sends something is told as whom it comes.
// Without a seed it answers for every address: the anti-spoofing rules of vmlet let only those for its own through. But while somebody has
// flushed them, the host would learn wrong neighbours from that, and keep them long after.
func guest(tap int, macText string, own net.IP) {
	mac, err := net.ParseMAC(macText)
	if err != nil {
		fail("mac", err)
	}
	frame := make([]byte, 2048)
	for {
		n, err := syscall.Read(tap, frame)
		if err != nil {
			// The tap was deleted. QEMU goes on without a network, too.
			return
		}
		if silent.Load() {
			continue
		}
		if answer := reply(frame[:n], mac, own); answer != nil {
			syscall.Write(tap, answer)
		}
	}
}

func reply(in []byte, mac net.HardwareAddr, own net.IP) []byte {
	if len(in) < 42 {
		return nil
	}
	out := make([]byte, 0, 64)
	out = append(out, in[6:12]...)
	out = append(out, mac...)
	out = append(out, in[12:14]...)
	switch binary.BigEndian.Uint16(in[12:]) {
	case 0x0806:
		arp := in[14:]
		if binary.BigEndian.Uint16(arp[6:]) != 1 || own != nil && !own.Equal(net.IP(arp[24:28])) {
			return nil
		}
		out = append(out, 0, 1, 8, 0, 6, 4, 0, 2)
		out = append(out, mac...)
		out = append(out, arp[24:28]...)
		out = append(out, arp[8:14]...)
		return append(out, arp[14:18]...)
	case 0x0800:
		if !strings.HasPrefix(string(in), string(mac)) {
			return nil
		}
		switch in[14+9] {
		case 1:
			return icmp(in[14:], out)
		case 17:
			return udp(in, mac)
		}
		return tcp(in[14:], out)
	}
	return nil
}

// tcp answers a SYN with SYN+ACK, or RST+ACK while it refuses, data with a line that says whose it is, and a FIN with
// FIN+ACK (RFC 9293); everything else needs no answer. It keeps nothing of a connection: where it stands in the stream of
// its own is what the other side acknowledges.
func tcp(ip, out []byte) []byte {
	header := int(ip[0]&15) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if ip[9] != 6 || total > len(ip) || total < header+20 {
		return nil
	}
	segment := ip[header:total]
	offset := int(segment[12]>>4) * 4
	if offset < 20 || offset > len(segment) {
		return nil
	}
	flags, data := segment[13], uint32(len(segment)-offset)
	mine, theirs := binary.BigEndian.Uint32(segment[8:]), binary.BigEndian.Uint32(segment[4:])
	var answer byte
	var says []byte
	switch {
	case flags&0x04 != 0:
		return nil
	case flags&0x02 != 0 && refusing.Load():
		mine, theirs, answer = 0, theirs+1, 0x14
	case flags&0x02 != 0:
		mine, theirs, answer = 1000, theirs+1, 0x12
	case data > 0:
		theirs, answer = theirs+data, 0x18
		says = fmt.Appendf(nil, "%s\n", net.IP(ip[12:16]))
	case flags&0x01 != 0:
		theirs, answer = theirs+1, 0x11
	default:
		return nil
	}
	length := 20 + len(says)
	reply := make([]byte, length)
	copy(reply[0:], segment[2:4])
	copy(reply[2:], segment[0:2])
	binary.BigEndian.PutUint32(reply[4:], mine)
	binary.BigEndian.PutUint32(reply[8:], theirs)
	reply[12], reply[13] = 0x50, answer
	binary.BigEndian.PutUint16(reply[14:], 64240)
	copy(reply[20:], says)
	// The pseudo header: both addresses, the protocol, the length.
	sum := uint32(6 + length)
	for i := 12; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(reply[16:], checksum(sum, padded(reply)))
	return append(append(out, ipv4(6, ip[16:20], ip[12:16], length)...), reply...)
}

func checksum(sum uint32, bytes []byte) uint16 {
	for i := 0; i < len(bytes); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(bytes[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
