// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/oci-secrets/oci-secrets/spec/fault"
)

// lasting gives the fault for an error that no retry mends, or nil.
//
// A certificate that is not trusted is a refusal, ours: it may be the wrong CA
// file, an expired certificate, or somebody in between, and none of them is an
// outage. A scheme that does not fit the server is in the settings.
func lasting(from string, err error) *fault.Error {
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError // whose Err is an alert; crypto/tls has the type of that to itself
	var own *fault.Error
	switch {
	case errors.As(err, &own): // of what is on the way there
		return faultOf(from, own.Class, strings.Join(fault.Hints(own), "; "), "%s", clean(own.Error()))
	case errors.Is(err, errTooLarge):
		return faultOf(from, fault.Unreachable, "", "%s", errTooLarge).Because(fault.Malformed)
	case errors.Is(err, errSwitched):
		return faultOf(from, fault.Unreachable, "check that the address is that of a Vault server", "%s", errSwitched).Because(fault.Malformed)
	case errors.Is(err, errElsewhere):
		return faultOf(from, fault.Settings, "write the address with https://, or correct /etc/hosts", "%s: it would send the token over the network in clear", errElsewhere)
	case errors.As(err, &cert):
		return faultOf(from, fault.Refused, trustHint(cert.Err), "its certificate is not trusted: %s", clean(cert.Err.Error()))
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return faultOf(from, fault.Settings, "give the server a certificate; http:// is for an address on this machine alone",
			"the address says https and the server does not speak TLS")
	case errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() != "tls: internal error":
		return faultOf(from, fault.Refused, "", "it refused the TLS handshake: %s", clean(op.Err.Error()))
	}
	return nil
}

// trustHint is what to do about a certificate. Where it is the date that is
// wrong, that may be the one of this machine.
func trustHint(err error) string {
	var name x509.HostnameError
	if errors.As(err, &name) {
		return "write the address with a name that the certificate has, or set tls_server_name to one"
	}
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired || invalid.Cert == nil {
		return "set ca_cert to the CA that signed the server's certificate"
	}
	utc := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return fmt.Sprintf("this machine's clock says %s, and the certificate is valid from %s to %s; correct the clock, or renew the certificate",
		utc(time.Now()), utc(invalid.Cert.NotBefore), utc(invalid.Cert.NotAfter))
}

// network says what an error of the network was, without addresses of the
// client's side and without URLs. Text of the server's may repeat what was sent.
func network(err error, hidden []string) string {
	var dns *net.DNSError
	var op *net.OpError
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return clean(dns.Error())
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke off in the answer"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the proxy: " + network(op.Err, hidden)
	case errors.As(err, &errno):
		return clean(reason(errno))
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return clean(hide(err.Error(), hidden))
}
