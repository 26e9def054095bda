package blackboxtest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/sdk/schema"
)

func TestSecretsAreFoundInEveryBlock(t *testing.T) {
	token := schema.Attribute{Name: "token", Type: schema.String, Sensitive: true}
	s := &subject{
		o: Options{ConfigJSON: []byte(`{"name":"plain","token":" first\n","words":["second","abc"],"keys":{"a":"third"},
			"one":{"token":"fourth","deep":[{"token":"fifth"}]},"many":[{"token":"sixth"},{"token":"seventh"}],"absent":null}`)},
		schema: schema.Block{
			Attributes: []schema.Attribute{
				{Name: "name", Type: schema.String},
				token,
				{Name: "words", Type: schema.StringList, Sensitive: true},
				{Name: "keys", Type: schema.StringMap, Sensitive: true},
			},
			Blocks: []schema.Block{
				{Name: "one", Attributes: []schema.Attribute{token}, Blocks: []schema.Block{{Name: "deep", Repeated: true, Attributes: []schema.Attribute{token}}}},
				{Name: "many", Repeated: true, Attributes: []schema.Attribute{token}},
				{Name: "absent", Attributes: []schema.Attribute{token}},
			},
		},
	}
	want := []secret{
		{"token", "first"},
		{"words", "second"},
		{"keys", "third"},
		{"one.token", "fourth"},
		{"one.deep.token", "fifth"},
		{"many.token", "sixth"},
		{"many.token", "seventh"},
	}
	if diff := cmp.Diff(want, s.secrets(), cmp.AllowUnexported(secret{})); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

func TestSecretIsSeenAsJSONWritesIt(t *testing.T) {
	const value = `a "b" <c> \`
	forHTML, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"x" + value, `{"v":` + string(forHTML) + `}`, `{"v":"a \"b\" <c> \\"}`} {
		if !shows(text, value) {
			t.Errorf("not seen in %s", text)
		}
	}
	if shows(`{"v":"a b <c>"}`, value) {
		t.Error("seen where it is not")
	}
}
