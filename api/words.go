package api

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// inWords says what of a request does not fit the document, without the value, which may be a secret.
func inWords(err error) string {
	where := "the request"
	request, ok := errors.AsType[*openapi3filter.RequestError](err)
	switch {
	case ok && request.Parameter != nil:
		where = fmt.Sprintf("the %s parameter %q", request.Parameter.In, request.Parameter.Name)
	case ok && request.RequestBody != nil:
		where = "the body"
	}
	if e, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		for len(e.Causes) > 0 {
			e = e.Causes[0]
		}
		return place(where, e.InstanceLocation) + " " + complaint(e.ErrorKind)
	}
	if e, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		return place(where, e.JSONPointer()) + ": " + e.Reason
	}
	if ok && request.Reason != "" {
		return where + ": " + request.Reason
	}
	return where + " does not fit the document"
}

func place(where string, keys []string) string {
	return strings.Join(append([]string{where}, keys...), ".")
}

// complaint says what is wrong with a value: a predicate.
func complaint(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "has to be " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return "has to be one of " + strings.Trim(fmt.Sprint(k.Want), "[]")
	case *kind.Format:
		return "has to be a " + k.Want
	case *kind.Pattern:
		return "does not match " + k.Want
	case *kind.Required:
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return "holds what is not known: " + strings.Join(k.Properties, ", ")
	case *kind.MinLength:
		if k.Want == 1 {
			return "is empty"
		}
		return fmt.Sprintf("has to have %d characters at least", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("has to have %d characters at most", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has to have %d items at most", k.Want)
	case *kind.Minimum:
		return "has to be " + number(k.Want) + " at least"
	case *kind.Maximum:
		return "has to be " + number(k.Want) + " at most"
	}
	return "does not fit the document"
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return r.FloatString(3)
}
