// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA makes certificates.
type CA struct {
	PEM string

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes a CA, for the clients that CertAuth lets in.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca, err := newCA("vaulttest clients")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &CA{encode("CERTIFICATE", der), root, key}, nil
}

// Client makes a client's certificate and key. With a negative ttl it has
// expired.
func (ca *CA) Client(t testing.TB, name string, ttl time.Duration) (certPEM, keyPEM string) {
	t.Helper()
	certPEM, keyPEM, err := ca.issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(ttl), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	return certPEM, keyPEM
}

// Server makes the certificate and key of a server of this machine, valid between
// two times.
func (ca *CA) Server(t testing.TB, from, to time.Time) (certPEM, keyPEM string) {
	t.Helper()
	certPEM, keyPEM, err := ca.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, NotBefore: from, NotAfter: to,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return certPEM, keyPEM
}

// server makes the certificate and key of a server of this machine.
func (ca *CA) server(name string) (certPEM, keyPEM string, err error) {
	return ca.issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: name},
		NotAfter: ca.certificate.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	})
}

func (ca *CA) issue(leaf *x509.Certificate) (certPEM, keyPEM string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	if leaf.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return "", "", err
	}
	if leaf.NotBefore.IsZero() {
		leaf.NotBefore = ca.certificate.NotBefore
	}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER), nil
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// WriteCertificates makes a CA, and a server certificate for 127.0.0.1 and
// localhost, as PEM files in dir.
func WriteCertificates(dir string) (ca, cert, key string, err error) {
	root, err := newCA("vaulttest CA")
	if err != nil {
		return "", "", "", err
	}
	certPEM, keyPEM, err := root.server("vaulttest server")
	if err != nil {
		return "", "", "", err
	}
	ca, cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, data := range map[string]string{ca: root.PEM, cert: certPEM, key: keyPEM} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			return "", "", "", err
		}
	}
	return ca, cert, key, nil
}
