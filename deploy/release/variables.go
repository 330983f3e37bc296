package release

import (
	"context"
	"errors"
	"maps"

	"slipway/deploy"
)

// VariableReader reads an app's own variables, such as DATABASE_URL.
type VariableReader interface {
	Read(context.Context, deploy.AppName) (deploy.Variables, error)
}

// Variables reads apps' variables, and encrypts those that an instance is started with, so that they
// can be in its folder.
type Variables interface {
	VariableReader
	// Seal encrypts values for an [Opener]. No values are "".
	Seal(app deploy.AppName, values map[string]string) (string, error)
}

// Opener decrypts what [Variables] has sealed.
type Opener func(app deploy.AppName, sealed string) (map[string]string, error)

// noVariables is for an engine that was given none: starting an app without them would be worse than
// not starting it.
type noVariables struct{}

var errNoVariables = errors.New("the engine was made without the apps' variables")

func (noVariables) Read(context.Context, deploy.AppName) (deploy.Variables, error) {
	return nil, errNoVariables
}

func (noVariables) Seal(deploy.AppName, map[string]string) (string, error) {
	return "", errNoVariables
}

// withVariables returns an environment with the app's variables over it. They name nothing that Slipway
// sets itself.
func withVariables(env []string, vars map[string]string) []string {
	all := make(map[string]string)
	for _, kv := range env {
		if k, v, ok := cutVariable(kv); ok {
			all[k] = v
		}
	}
	maps.Copy(all, vars)
	return environment(all)
}
