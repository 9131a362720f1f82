package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The port on which the stand-in guests answer; see bench/standin/packets.go.
const echoPort = 7777

// A packet without an answer counts as lost after patience, far more than a queue on a busy machine holds it, and after
// as many of our own rounds: where we were not let run ourselves, the answer may lie in our socket.
const (
	patience       = 10 * time.Second
	patienceRounds = 50
)

// target is a guest that packets go to, and one that it passes others on to.
type target struct {
	name string
	ip   net.IP
	peer string
	hop  []byte // MAC and address of the peer; nil: none
}

type flying struct {
	target, peer string
	sent         time.Time
	round        int
}

type counter struct {
	lock               sync.Mutex
	targets            map[string]target
	flying             map[uint64]flying
	sent, lost, unsent int
	next               uint64
	round              int
}

// witness LOSSES MILLISECONDS: sends one packet to each target and one through it to its peer at that pace. Reads lines
// "set NAME IP [PEER MAC IP]", "del NAME", "stats" from its input; the last answers a line of JSON. LOSSES gets a line
// "milliseconds-since-1970 name peer-or-dash lost|unsent" for each packet that did not come back.
func witness(args []string) {
	if len(args) != 2 {
		fail("witness", fmt.Errorf("LOSSES MILLISECONDS"))
	}
	losses, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		fail("open "+args[0], err)
	}
	pace, err := strconv.Atoi(args[1])
	if err != nil {
		fail("pace", err)
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		fail("socket", err)
	}
	if err := widen(socket); err != nil {
		fail("receive buffer", err)
	}
	c := &counter{targets: map[string]target{}, flying: map[uint64]flying{}}
	go c.receive(socket)
	go c.send(socket, losses, time.Duration(pace)*time.Millisecond)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		c.obey(strings.Fields(lines.Text()))
	}
}

// widen gives the answers room for a minute in which we are not let run; the usual 200 KiB are full after half a second, and
// the kernel drops what comes then. SO_RCVBUFFORCE, socket(7), goes past the system's limit.
func widen(socket *net.UDPConn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 128<<20)
	})
	if err != nil {
		return err
	}
	return failed
}

func (c *counter) obey(words []string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	switch {
	case len(words) == 3 && words[0] == "set":
		c.targets[words[1]] = target{name: words[1], ip: net.ParseIP(words[2])}
	case len(words) == 6 && words[0] == "set":
		mac, err := net.ParseMAC(words[4])
		if err != nil {
			fail("mac", err)
		}
		hop := append(append([]byte{}, mac...), net.ParseIP(words[5]).To4()...)
		c.targets[words[1]] = target{words[1], net.ParseIP(words[2]), words[3], hop}
	case len(words) == 2 && words[0] == "del":
		delete(c.targets, words[1])
	case len(words) == 1 && words[0] == "stats":
		json.NewEncoder(os.Stdout).Encode(map[string]int{
			"sent": c.sent, "lost": c.lost, "unsent": c.unsent, "flying": len(c.flying)})
	}
}

func (c *counter) receive(socket *net.UDPConn) {
	packet := make([]byte, 2048)
	for {
		n, _, err := socket.ReadFromUDP(packet)
		if err != nil {
			continue
		}
		if n >= 10 && packet[0] == 'V' && packet[1] == '0' {
			c.lock.Lock()
			delete(c.flying, binary.BigEndian.Uint64(packet[2:]))
			c.lock.Unlock()
		}
	}
}

func (c *counter) send(socket *net.UDPConn, losses *os.File, pace time.Duration) {
	for range time.Tick(pace) {
		c.lock.Lock()
		now := time.Now()
		c.round++
		for key, f := range c.flying {
			if now.Sub(f.sent) > patience && c.round-f.round > patienceRounds {
				delete(c.flying, key)
				c.lost++
				tell(losses, f, "lost")
			}
		}
		for _, t := range c.targets {
			c.one(socket, losses, t, "-", nil)
			if t.hop != nil {
				c.one(socket, losses, t, t.peer, t.hop)
			}
		}
		c.lock.Unlock()
	}
}

func (c *counter) one(socket *net.UDPConn, losses *os.File, t target, peer string, hop []byte) {
	c.next++
	c.sent++
	var packet []byte
	if hop == nil {
		packet = binary.BigEndian.AppendUint64([]byte("V0"), c.next)
	} else {
		packet = binary.BigEndian.AppendUint64(append([]byte("V1"), hop...), c.next)
	}
	f := flying{t.name, peer, time.Now(), c.round}
	if _, err := socket.WriteToUDP(packet, &net.UDPAddr{IP: t.ip, Port: echoPort}); err != nil {
		c.unsent++
		tell(losses, f, "unsent")
		return
	}
	c.flying[c.next] = f
}

func tell(losses *os.File, f flying, how string) {
	fmt.Fprintf(losses, "%d %s %s %s\n", f.sent.UnixMilli(), f.target, f.peer, how)
}
