package invokeapi

import (
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strconv"

	"github.com/topicwire/topicwire/bridge/function"
)

// configuration is a function's configuration as AWS shows it. What has no meaning here
// says what it would say there; environment variables are not shown, because they may
// hold secrets.
// (https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html)
type configuration struct {
	Name             string            `json:"FunctionName"`
	ARN              string            `json:"FunctionArn"`
	Runtime          string            `json:"Runtime,omitempty"`
	Handler          string            `json:"Handler,omitempty"`
	Role             string            `json:"Role"`
	CodeSize         int               `json:"CodeSize"`
	Description      string            `json:"Description"`
	Timeout          int               `json:"Timeout"`
	Memory           int               `json:"MemorySize"`
	LastModified     string            `json:"LastModified"`
	CodeSha256       string            `json:"CodeSha256"`
	Version          string            `json:"Version"`
	TracingConfig    map[string]string `json:"TracingConfig"`
	State            string            `json:"State"`
	LastUpdateStatus string            `json:"LastUpdateStatus"`
	PackageType      string            `json:"PackageType"`
	Architectures    []string          `json:"Architectures"`
}

const defaultMemory = 128

func show(d *function.Description) configuration {
	architecture := "x86_64"
	if runtime.GOARCH == "arm64" {
		architecture = "arm64"
	}
	return configuration{
		Name: d.Name, ARN: d.ARN, Runtime: d.Runtime, Handler: d.Handler,
		Role:    "arn:aws:iam::123456789012:role/none",
		Timeout: int(d.Timeout.Seconds()), Memory: max(d.Memory, defaultMemory),
		LastModified: "1970-01-01T00:00:00.000+0000", Version: latest,
		TracingConfig: map[string]string{"Mode": "PassThrough"},
		State:         "Active", LastUpdateStatus: "Successful", PackageType: "Zip", Architectures: []string{architecture},
	}
}

type reserved struct {
	Concurrency int `json:"ReservedConcurrentExecutions"`
}

// get is the operation GetFunction.
func (c *call) get() error {
	c.write(http.StatusOK, struct {
		Configuration configuration
		Code          map[string]string
		Tags          map[string]string
		Concurrency   reserved
	}{show(&c.function), map[string]string{"RepositoryType": "S3", "Location": ""}, map[string]string{}, reserved{c.function.Concurrency}})
	return nil
}

// configuration is the operation GetFunctionConfiguration.
func (c *call) configuration() error {
	c.write(http.StatusOK, show(&c.function))
	return nil
}

const maxItems = 50

// list is the operation ListFunctions.
func (c *call) list() error {
	n := maxItems
	if s := c.query.Get("MaxItems"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			return invalid("MaxItems is %q: write a number from 1", s)
		}
		n = min(n, maxItems)
	}
	names := c.o.Functions.Names()
	from, found := slices.BinarySearch(names, c.query.Get("Marker"))
	if found {
		from++
	}
	answer := struct {
		Functions  []configuration
		NextMarker *string
	}{Functions: []configuration{}}
	for _, name := range names[from:] {
		if len(answer.Functions) == n {
			answer.NextMarker = &answer.Functions[n-1].Name
			break
		}
		if d, ok := c.o.Functions.Describe(name); ok {
			answer.Functions = append(answer.Functions, show(&d))
		}
	}
	c.write(http.StatusOK, answer)
	return nil
}

// getConcurrency is the operation GetFunctionConcurrency.
func (c *call) getConcurrency() error {
	c.write(http.StatusOK, reserved{c.function.Concurrency})
	return nil
}

// putConcurrency is the operation PutFunctionConcurrency.
func (c *call) putConcurrency() error {
	var want struct {
		Concurrency *int `json:"ReservedConcurrentExecutions"`
	}
	if err := json.Unmarshal(c.body, &want); err != nil || want.Concurrency == nil || *want.Concurrency < 0 {
		return invalid("ReservedConcurrentExecutions is missing or no number from 0")
	}
	n, err := c.o.Functions.SetConcurrency(c.function.Name, *want.Concurrency)
	if err != nil {
		return invalid("%v", err)
	}
	c.write(http.StatusOK, reserved{n})
	return nil
}

// deleteConcurrency is the operation DeleteFunctionConcurrency.
func (c *call) deleteConcurrency() error {
	if _, err := c.o.Functions.SetConcurrency(c.function.Name, -1); err != nil {
		return invalid("%v", err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
