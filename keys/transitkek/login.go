package transitkek

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// grant is a token and how long it is good.
type grant struct {
	token     secret
	ttl       time.Duration // zero: without end
	renewable bool
}

// login gets a token. Errors wrap keys.ErrDenied or keys.ErrAway, or are the
// context's.
type login func(ctx context.Context, c *client) (grant, error)

// authAnswer is what a login and a renewal answer.
type authAnswer struct {
	Auth *struct {
		Token     string `json:"client_token"`
		Lease     int64  `json:"lease_duration"` // seconds
		Renewable bool   `json:"renewable"`
	} `json:"auth"`
}

// method returns the login that the options ask for, and whether its tokens
// are the session's own, to be revoked at its end.
func (a Auth) method() (l login, own bool, err error) {
	set := 0
	for _, is := range []bool{a.TokenFile != "", a.AppRole != nil, a.Kubernetes != nil} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return nil, false, fmt.Errorf("%w: Auth must have exactly one of TokenFile, AppRole and Kubernetes", keys.ErrUsage)
	case a.TokenFile != "":
		return fromFile(a.TokenFile), false, nil
	case a.AppRole != nil:
		r := *a.AppRole
		r.Mount = orDefault(r.Mount, "approle")
		if r.RoleIDFile == "" || r.SecretIDFile == "" {
			return nil, false, fmt.Errorf("%w: AppRole must have RoleIDFile and SecretIDFile", keys.ErrUsage)
		}
		return r.login, true, checkPath("AppRole.Mount", r.Mount)
	default:
		k := *a.Kubernetes
		k.Mount = orDefault(k.Mount, "kubernetes")
		k.TokenFile = orDefault(k.TokenFile, DefaultServiceAccount)
		if err := checkName("Kubernetes.Role", k.Role); err != nil {
			return nil, false, err
		}
		return k.login, true, checkPath("Kubernetes.Mount", k.Mount)
	}
}

// fromFile takes the token from a file and asks the server about it.
func fromFile(path string) login {
	return func(ctx context.Context, c *client) (grant, error) {
		token, err := readSecret(path, true)
		if err != nil {
			return grant{}, err
		}
		var out struct {
			Data *struct {
				TTL       int64 `json:"ttl"` // seconds; zero: without end
				Renewable bool  `json:"renewable"`
			} `json:"data"`
		}
		r := request{op: "looking up the token of TokenFile", method: http.MethodGet, path: "auth/token/lookup-self"}
		if err := c.send(ctx, r, token, &out); err != nil {
			return grant{}, loginError(r.op, err)
		}
		if out.Data == nil {
			return grant{}, fmt.Errorf("%w: %s: the answer has no data", keys.ErrAway, r.op)
		}
		return grant{token, time.Duration(out.Data.TTL) * time.Second, out.Data.Renewable}, nil
	}
}

func (a AppRole) login(ctx context.Context, c *client) (grant, error) {
	role, err := readSecret(a.RoleIDFile, false) // names the role and opens nothing
	if err != nil {
		return grant{}, err
	}
	id, err := readSecret(a.SecretIDFile, true)
	if err != nil {
		return grant{}, err
	}
	return enter(ctx, c, "AppRole login", a.Mount, map[string]string{"role_id": role.expose(), "secret_id": id.expose()})
}

func (k Kubernetes) login(ctx context.Context, c *client) (grant, error) {
	// Kubernetes decides the mode of the file and who can read it.
	jwt, err := readSecret(k.TokenFile, false)
	if err != nil {
		return grant{}, err
	}
	return enter(ctx, c, "Kubernetes login", k.Mount, map[string]string{"role": k.Role, "jwt": jwt.expose()})
}

func enter(ctx context.Context, c *client, op, mount string, in map[string]string) (grant, error) {
	var out authAnswer
	r := request{op: op, method: http.MethodPost, path: "auth/" + mount + "/login", in: in}
	if err := c.send(ctx, r, secret{}, &out); err != nil {
		return grant{}, loginError(op, err)
	}
	return out.grant(op)
}

func (a authAnswer) grant(op string) (grant, error) {
	if a.Auth == nil || a.Auth.Token == "" || a.Auth.Lease < 0 {
		return grant{}, fmt.Errorf("%w: %s: the answer has no token", keys.ErrAway, op)
	}
	return grant{newSecret(a.Auth.Token), time.Duration(a.Auth.Lease) * time.Second, a.Auth.Renewable}, nil
}

// loginError: 400 and 404 are how a login answers to a role, a secret or a
// method that it does not know.
func loginError(op string, err error) error {
	if answered(err, http.StatusBadRequest) || answered(err, http.StatusNotFound) {
		return fmt.Errorf("%w: %s: the credentials are not accepted", keys.ErrDenied, op)
	}
	return err
}
