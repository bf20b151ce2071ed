using System.Text.Json.Nodes;
using Fairlead.Errors;
using Fairlead.FunctionalTests.Common.JsonSchema;

namespace Fairlead.FunctionalTests.Hostile;

/// <summary>
/// An address that accepts bodies, with a large valid body to corrupt and the schema that separates valid from invalid bodies.
/// </summary>
/// <param name="Name">Address and model.</param>
/// <param name="Path">May hold <c>{key}</c>.</param>
/// <param name="Shape">Of its errors.</param>
/// <param name="Schema">The schema of its requests.</param>
/// <param name="Body">May hold <c>{organization}</c> and <c>{project}</c>.</param>
public sealed record HostileDoor(string Name, string Path, ErrorShape Shape, string Schema, string Body)
{
    private const string Png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    private const string ChatTools = """
        "tools":[{"type":"function","function":{"name":"look_up","description":"Looks it up","parameters":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"],"additionalProperties":false},"strict":true}}],
        "tool_choice":{"type":"function","function":{"name":"look_up"}},"parallel_tool_calls":false,
        """;

    private const string Sampling = """ "temperature":0.5,"top_p":0.9,"stop":["END"],"stream":false,"user":"u-1","fairlead":{"class":"standard","deadline_ms":60000,"on_disconnect":"cancel","task":"chat"} """;

    private const string MessageTurns = """
        "system":[{"type":"text","text":"Be brief","cache_control":{"type":"ephemeral","ttl":"5m"}}],
        "messages":[{"role":"user","content":[{"type":"text","text":"Hello"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]},
          {"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"look_up","input":{"q":"x"}}]},
          {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"found"}],"is_error":false},{"type":"text","text":"And?"}]}],
        "tools":[{"name":"look_up","description":"Looks it up","input_schema":{"type":"object","properties":{"q":{"type":"string"}}},"strict":false}],
        "tool_choice":{"type":"auto","disable_parallel_tool_use":false},"stop_sequences":["END"],"metadata":{"user_id":"u-1"},"fairlead":{"class":"standard","deadline_ms":60000}
        """;

    private static readonly string Response = $$$"""
        "input":[{"role":"user","content":[{"type":"input_text","text":"Hello"},{"type":"input_image","image_url":"{{{Png}}}","detail":"low"}]},
          {"type":"function_call","call_id":"call_1","name":"look_up","arguments":"{\"q\":\"x\"}"},{"type":"function_call_output","call_id":"call_1","output":"found"},{"role":"user","content":"And?"}],
        "instructions":"Be brief","tools":[{"type":"function","name":"look_up","parameters":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"],"additionalProperties":false},"strict":true}],
        "tool_choice":"auto","parallel_tool_calls":false,"text":{"format":{"type":"text"}},"reasoning":{"effort":"low"},"truncation":"disabled"
        """;

    private static readonly string Turns = $$$"""
        "messages":[{"role":"system","content":"Be brief"},{"role":"user","name":"ann","content":[{"type":"text","text":"Hello"},{"type":"image_url","image_url":{"url":"{{{Png}}}","detail":"low"}}]},
          {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look_up","arguments":"{\"q\":\"x\"}"}}]},
          {"role":"tool","tool_call_id":"call_1","content":"found"},{"role":"user","content":"And?"}],
        """;

    private static readonly string Native = $$$"""
        {{{Turns}}}{{{ChatTools}}}"max_completion_tokens":50,"n":1,"seed":7,"logprobs":true,"top_logprobs":2,"frequency_penalty":0.1,"presence_penalty":0.1,"logit_bias":{"50256":-100},
        "response_format":{"type":"json_schema","json_schema":{"name":"out","schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false},"strict":true}},
        "reasoning_effort":"low","verbosity":"low","service_tier":"auto","store":false,"metadata":{"k":"v"},"prompt_cache_key":"c","prompt_cache_retention":"24h","safety_identifier":"s",{{{Sampling}}}
        """;

    public static readonly IReadOnlyList<HostileDoor> All =
    [
        Chat("native", Native),
        Chat("simulated", Native),
        Chat("claude", $"{Turns}{ChatTools}\"max_completion_tokens\":50,\"reasoning_effort\":\"low\",{Sampling.Replace("0.5", "1", StringComparison.Ordinal).Replace("\"top_p\":0.9,", "", StringComparison.Ordinal)}".Replace("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"look_up\"}}", "\"tool_choice\":\"auto\"", StringComparison.Ordinal)),
        Chat("gemini", $"{Turns}{ChatTools.Replace("\"parallel_tool_calls\":false,", "", StringComparison.Ordinal)}\"max_completion_tokens\":50,\"seed\":7,{Sampling}"),
        Completions("native"),
        Completions("simulated"),
        Embeddings("native-embed"),
        Embeddings("sim-embed"),
        Messages("claude"),
        Messages("native"),
        Messages("gemini"),
        Messages("simulated"),
        new("count_tokens", "/v1/messages/count_tokens", ErrorShape.Anthropic, "count_tokens.request.json", $$"""{"model":"simulated",{{MessageTurns}}}"""),
        new("responses", "/v1/responses", ErrorShape.OpenAi, "any.request.json", $$"""{"model":"simulated",{{Response}},"max_output_tokens":50,"metadata":{"k":"v"},"service_tier":"auto","prompt_cache_key":"c","safety_identifier":"s","include":[],{{Sampling}}}""".Replace("\"stop\":[\"END\"],", "", StringComparison.Ordinal)),
        new("input_tokens", "/v1/responses/input_tokens", ErrorShape.OpenAi, "any.request.json", $$"""{"model":"simulated",{{Response}}}"""),
        new("generations", "/v2/generations", ErrorShape.Problem, "any.request.json", """
            {"model":"simulated","input":[{"role":"user","content":[{"type":"text","text":"Hello"},{"type":"image","data":"iVBORw0KGgo=","media_type":"image/png","detail":"low"}]},
              {"type":"tool_call","id":"call_1","name":"look_up","arguments":"{\"q\":\"x\"}"},{"type":"tool_result","tool_call_id":"call_1","output":"found","is_error":false},{"role":"user","content":"And?"}],
             "instructions":"Be brief","tools":[{"name":"look_up","description":"Looks it up","parameters":{"type":"object","properties":{"q":{"type":"string"}},"required":["q"],"additionalProperties":false},"strict":true}],
             "tool_choice":{"name":"look_up"},"parallel_tool_calls":false,"output":{"format":"text"},"budget_usd":1.5,"sampling":{"max_output_tokens":50,"temperature":0.5,"top_p":0.9,"seed":7,"stop":["END"]},
             "reasoning":{"effort":"low"},"delivery":{"mode":"sync","on_disconnect":"cancel"},"metadata":{"k":"v"},"class":"standard","deadline_ms":60000,"task":"chat"}
            """),
        new("organizations", "/admin/v1/organizations", ErrorShape.Problem, "organization.request.json", """{"name":"Acme"}"""),
        new("projects", "/admin/v1/projects", ErrorShape.Problem, "project.request.json", """{"name":"Acme","organization_id":"{organization}"}"""),
        new("keys", "/admin/v1/keys", ErrorShape.Problem, "key.request.json",
            """{"name":"Acme","project_id":"{project}","scopes":["chat","models:read"],"models":["sim-fast"],"classes":["standard","bulk"],"default_class":"bulk","addresses":["10.0.0.0/8","::1"],"expires_at":"2999-01-01T00:00:00Z","api_version":null,"extensions":"all"}"""),
        new("rotation", "/admin/v1/keys/{key}/rotate", ErrorShape.Problem, "rotation.request.json", """{"overlap_seconds":0}"""),
    ];

    /// <summary>Whether an empty body is a valid request: a rotation with the default overlap.</summary>
    public bool MayBeEmpty => Schema == "rotation.request.json";

    public bool IsAdmin => Path.StartsWith("/admin", StringComparison.Ordinal);

    public Schema Requests => SchemaSet.Own.Get(Schema);

    /// <summary>The schema of its errors.</summary>
    public Schema Errors => ErrorsOf(Shape);

    /// <summary>The schema of the errors in <paramref name="shape"/>.</summary>
    public static Schema ErrorsOf(ErrorShape shape) => SchemaSet.Own.Get(shape switch { ErrorShape.OpenAi => "error.openai.json", ErrorShape.Anthropic => "error.anthropic.json", _ => "error.problem.json" });

    public JsonObject ValidBody(HostileGateway world) => JsonNode.Parse(Body
        .Replace("{organization}", world.OrganizationId, StringComparison.Ordinal)
        .Replace("{project}", world.Gateway.ProjectId, StringComparison.Ordinal))!.AsObject();

    public string Address(HostileGateway world) => Path.Replace("{key}", world.SpareKeyId, StringComparison.Ordinal);

    public override string ToString() => Name;

    private static HostileDoor Chat(string model, string content) => new($"chat, {model}", "/v1/chat/completions", ErrorShape.OpenAi, "chat.request.json", $$"""{"model":"{{model}}",{{content}}}""");

    private static HostileDoor Completions(string model) => new($"completions, {model}", "/v1/completions", ErrorShape.OpenAi, "completions.request.json",
        $$"""{"model":"{{model}}","prompt":"Once upon","max_tokens":5,"n":1,"echo":false,"best_of":1,"logprobs":null,"suffix":null,"seed":7,{{Sampling}}}""");

    private static HostileDoor Embeddings(string model) => new($"embeddings, {model}", "/v1/embeddings", ErrorShape.OpenAi, "embeddings.request.json",
        $$$"""{"model":"{{{model}}}","input":["one","two"],"encoding_format":"float","user":"u","fairlead":{"class":"bulk","deadline_ms":60000}}""");

    private static HostileDoor Messages(string model) => new($"messages, {model}", "/v1/messages", ErrorShape.Anthropic, "messages.request.json", $$"""{"model":"{{model}}","max_tokens":50,"stream":false,{{MessageTurns}}}""");
}
