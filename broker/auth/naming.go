package auth

import "crypto/x509"

// PrincipalOfCertificate is who the client with a certificate is, as the method x509 names
// it; its fingerprint if there is no such method. An error wraps [ErrRefused].
func (c *Config) PrincipalOfCertificate(cert *x509.Certificate) (string, error) {
	for i := range c.Methods {
		if m := c.Methods[i].X509; m != nil {
			return m.Name(cert)
		}
	}
	return Fingerprint(cert), nil
}

// PrincipalOfClaims is who the client with a token is, as the method jwt that is for its
// issuer names it; the claim sub if there is none. Empty if the claims do not say.
func (c *Config) PrincipalOfClaims(claims map[string]any) string {
	for i := range c.Methods {
		if m := c.Methods[i].JWT; m != nil && (m.Issuer == "" || claims["iss"] == nil || claims["iss"] == m.Issuer) {
			return m.PrincipalOf(claims)
		}
	}
	return new(JWTConfig).PrincipalOf(claims)
}
