package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fault is how the API server misbehaves just now. Kind is one of
//
//	pass      not at all
//	refuse    every connection is cut
//	hang      requests are taken and never answered
//	slow      every answer comes after up to Delay
//	error     Share of the requests is answered 500
//	conflict  Share of the writes is answered 409
//	expired   Share of the lists and watches from a resourceVersion is answered 410
//	empty     lists of our kinds have no items, their watches are silent: rights lost, say
//	amnesia   the same, and every direct read of a VirtualMachine says NotFound: another cluster, an empty backup
type fault struct {
	Kind  string
	Share float64
	Delay time.Duration
}

// madeUp is the resourceVersion of lists that were emptied; no server of ours is so young.
const madeUp = "7"

type front struct {
	lock     sync.Mutex
	fault    fault
	changed  chan struct{}
	open     map[net.Conn]bool
	injected int
	passed   int
	through  *httputil.ReverseProxy
}

// proxy LISTEN UPSTREAM UPSTREAM-CA CERTIFICATE-OUT CONTROL
func proxy(args []string) {
	if len(args) != 5 {
		fail("proxy", fmt.Errorf("LISTEN UPSTREAM-URL UPSTREAM-CA CERTIFICATE-OUT CONTROL-ADDRESS"))
	}
	upstream, err := url.Parse(args[1])
	if err != nil {
		fail("upstream", err)
	}
	roots := x509.NewCertPool()
	pemText, err := os.ReadFile(args[2])
	if err != nil || !roots.AppendCertsFromPEM(pemText) {
		fail("read "+args[2], err)
	}
	through := httputil.NewSingleHostReverseProxy(upstream)
	through.FlushInterval = -1
	through.Transport = &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
		MaxIdleConnsPerHost: 50,
	}
	through.ErrorLog = nil
	through.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) { cut(w) }
	f := &front{fault: fault{Kind: "pass"}, changed: make(chan struct{}), open: map[net.Conn]bool{}, through: through}

	certificate := selfSigned(args[3])
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		fail("listen on "+args[0], err)
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(f.serve),
		ConnState: f.follow,
		// Only 1.1, as the server behind.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:     nil,
	}
	go func() {
		fail("serve", server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}})))
	}()
	fail("control", http.ListenAndServe(args[4], http.HandlerFunc(f.control)))
}

// follow keeps the open connections, so that they can be cut.
func (f *front) follow(connection net.Conn, state http.ConnState) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(f.open, connection)
		return
	}
	f.open[connection] = true
	if f.fault.Kind == "refuse" {
		connection.Close()
	}
}

// control answers GET /?kind=...&share=...&delay=... by taking up that fault; what was begun under the old one is cut.
func (f *front) control(w http.ResponseWriter, r *http.Request) {
	kind := r.FormValue("kind")
	f.lock.Lock()
	if kind != "" {
		share, _ := strconv.ParseFloat(r.FormValue("share"), 64)
		delay, _ := strconv.ParseFloat(r.FormValue("delay"), 64)
		f.fault = fault{kind, share, time.Duration(delay * float64(time.Second))}
		close(f.changed)
		f.changed = make(chan struct{})
		for connection := range f.open {
			connection.Close()
		}
	}
	injected, passed := f.injected, f.passed
	f.lock.Unlock()
	fmt.Fprintf(w, "{\"injected\": %d, \"passed\": %d}\n", injected, passed)
}

func (f *front) count(injected bool) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if injected {
		f.injected++
	} else {
		f.passed++
	}
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	f.lock.Lock()
	now, changed := f.fault, f.changed
	f.lock.Unlock()
	ours := strings.HasPrefix(r.URL.Path, "/apis/vmlet.dev/")
	single := strings.Contains(r.URL.Path, "/namespaces/") && strings.Contains(r.URL.Path, "/virtualmachines/")
	watch := r.FormValue("watch") == "true" || r.FormValue("watch") == "1"
	read := r.Method == http.MethodGet
	list := read && ours && isCollection(r.URL.Path)
	if list && watch && r.FormValue("resourceVersion") == madeUp && now.Kind != "empty" && now.Kind != "amnesia" {
		// From the time of empty lists: a watch that went on from there would never tell of what was there all along.
		status(w, 410, "Expired", "chaos: too old resource version: "+madeUp)
		return
	}
	hit := mathrand.Float64() < now.Share
	switch {
	case now.Kind == "refuse":
		f.count(true)
		cut(w)
	case now.Kind == "hang":
		f.count(true)
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		cut(w)
	case now.Kind == "slow":
		f.count(true)
		time.Sleep(time.Duration(mathrand.Float64() * float64(now.Delay)))
		f.through.ServeHTTP(w, r)
	case now.Kind == "error" && hit:
		f.count(true)
		status(w, 500, "InternalError", "chaos: etcdserver: request timed out")
	case now.Kind == "conflict" && hit && !read:
		f.count(true)
		status(w, 409, "Conflict", "chaos: the object has been modified; please apply your changes to the latest version")
	case now.Kind == "expired" && hit && list && (watch || r.FormValue("resourceVersion") != ""):
		f.count(true)
		status(w, 410, "Expired", "chaos: too old resource version")
	case (now.Kind == "empty" || now.Kind == "amnesia") && list && watch:
		f.count(true)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
	case (now.Kind == "empty" || now.Kind == "amnesia") && list:
		f.count(true)
		f.emptied(w, r)
	case now.Kind == "amnesia" && read && ours && single:
		f.count(true)
		status(w, 404, "NotFound", "virtualmachines.vmlet.dev not found")
	default:
		f.count(false)
		f.through.ServeHTTP(w, r)
	}
}

// VmNode stays: an agent that makes its own again would only be busy with that.
func isCollection(path string) bool {
	for _, plural := range []string{"/virtualmachines", "/networks", "/networkslices"} {
		if strings.HasSuffix(path, plural) {
			return true
		}
	}
	return false
}

type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func (f *front) emptied(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Accept-Encoding")
	answer := &recorder{header: http.Header{}, code: 200}
	f.through.ServeHTTP(answer, r)
	var list map[string]any
	if answer.code == 200 && json.Unmarshal(answer.body.Bytes(), &list) == nil {
		list["items"] = []any{}
		list["metadata"] = map[string]any{"resourceVersion": madeUp}
		answer.body.Reset()
		json.NewEncoder(&answer.body).Encode(list)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.code)
	w.Write(answer.body.Bytes())
}

func status(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure",
		"metadata": map[string]any{}, "reason": reason, "message": message, "code": code})
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	if hijacker, able := w.(http.Hijacker); able {
		if connection, _, err := hijacker.Hijack(); err == nil {
			connection.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

func selfSigned(out string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fail("key", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "chaos proxy"},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(48 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		fail("certificate", err)
	}
	var text bytes.Buffer
	pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(out+".new", text.Bytes(), 0o600); err != nil {
		fail("write "+out, err)
	}
	if err := os.Rename(out+".new", out); err != nil {
		fail("write "+out, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
