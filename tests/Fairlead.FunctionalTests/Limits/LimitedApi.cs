using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using Fairlead.FunctionalTests.Common;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>One way to call a model: an API, with a whole or a streamed response. All calls of it need the same.</summary>
/// <param name="Name">For messages of tests.</param>
/// <param name="Path">The path.</param>
/// <param name="Fields">The fields of the body without input; <c>@</c> stands for the maximum output.</param>
/// <param name="Input">The field of the input; <c>@</c> stands for the text as JSON.</param>
/// <param name="Errors">The form of its errors.</param>
internal sealed record LimitedApi(string Name, string Path, string Fields, string Input, ErrorShape Errors)
{
    private const string Prompt = "\"input\":@";
    private const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":@}]";
    private const string Stream = ",\"stream\":true";

    public static readonly IReadOnlyList<LimitedApi> All =
    [
        new("chat", "/v1/chat/completions", "\"model\":\"echo\",\"max_tokens\":@", Messages, ErrorShape.OpenAi),
        new("chat, streamed", "/v1/chat/completions", "\"model\":\"echo\",\"max_tokens\":@" + Stream, Messages, ErrorShape.OpenAi),
        new("completions", "/v1/completions", "\"model\":\"echo\",\"max_tokens\":@", "\"prompt\":@", ErrorShape.OpenAi),
        new("completions, streamed", "/v1/completions", "\"model\":\"echo\",\"max_tokens\":@" + Stream, "\"prompt\":@", ErrorShape.OpenAi),
        new("embeddings", "/v1/embeddings", "\"model\":\"vectors\"", Prompt, ErrorShape.OpenAi),
        new("responses", "/v1/responses", "\"model\":\"echo\",\"max_output_tokens\":@", Prompt, ErrorShape.OpenAi),
        new("responses, streamed", "/v1/responses", "\"model\":\"echo\",\"max_output_tokens\":@" + Stream, Prompt, ErrorShape.OpenAi),
        new("messages", "/v1/messages", "\"model\":\"echo\",\"max_tokens\":@", Messages, ErrorShape.Anthropic),
        new("messages, streamed", "/v1/messages", "\"model\":\"echo\",\"max_tokens\":@" + Stream, Messages, ErrorShape.Anthropic),
        new("v2", "/v2/generations", "\"model\":\"echo\",\"sampling\":{\"max_output_tokens\":@},\"delivery\":{\"mode\":\"sync\"}", Prompt, ErrorShape.Problem),
        new("v2, streamed", "/v2/generations", "\"model\":\"echo\",\"sampling\":{\"max_output_tokens\":@}", Prompt, ErrorShape.Problem),
    ];

    public bool HasOutput => Name != "embeddings";

    public async Task<LimitedResponse> CallAsync(HttpClient client, string text = "hi", int maxOutput = 20)
    {
        var body = $"{{{Fields.Replace("@", maxOutput.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)},"
            + $"{Input.Replace("@", JsonSerializer.Serialize(text), StringComparison.Ordinal)}}}";
        using var response = await client.PostJsonAsync(Path, body);
        return new LimitedResponse(
            Name, response.StatusCode, response.Headers.ToDictionary(header => header.Key, header => string.Join(", ", header.Value), StringComparer.OrdinalIgnoreCase),
            await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    public override string ToString() => Name;
}

/// <summary>A response, read to its end.</summary>
internal sealed record LimitedResponse(string Api, HttpStatusCode Status, IReadOnlyDictionary<string, string> Headers, string Body)
{
    public string? Header(string name) => Headers.GetValueOrDefault(name);

    /// <summary>What <c>RateLimit</c> says about one limit: <c>r</c> or <c>t</c>.</summary>
    public long? RateLimit(string policy, string part)
    {
        var match = Regex.Match(Header("RateLimit") ?? "", $"\"{Regex.Escape(policy)}\"(;[a-z]+=[^;,]+)*;{part}=(?<value>[0-9]+)");
        return match.Success ? long.Parse(match.Groups["value"].Value, CultureInfo.InvariantCulture) : null;
    }

    /// <summary>Fails unless the call was served.</summary>
    public LimitedResponse Served()
    {
        Assert.True(Status == HttpStatusCode.OK, $"{Api}: {(int)Status} {Body}");
        return this;
    }

    /// <summary>The error of a refusal by a limit, and its details.</summary>
    public (JsonElement Error, JsonElement Details) Refused(HttpStatusCode status = HttpStatusCode.TooManyRequests)
    {
        Assert.True(Status == status, $"{Api}: {(int)Status} {Body}");
        var root = JsonDocument.Parse(Body).RootElement;
        var error = root.TryGetProperty("error", out var inner) ? inner : root;
        return (error, error.GetProperty("details"));
    }

    /// <summary>Every array of this name in the body, or in the events of the stream.</summary>
    public IEnumerable<JsonElement> Arrays(string name) => Body.StartsWith('{')
        ? Arrays(JsonDocument.Parse(Body).RootElement, name)
        : Body.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal)).SelectMany(line => Arrays(JsonDocument.Parse(line[6..]).RootElement, name));

    public bool WarnsOfLimit => Arrays("warnings").SelectMany(list => list.EnumerateArray()).Any(warning => warning.GetProperty("code").GetString() == "limit_near");

    private static IEnumerable<JsonElement> Arrays(JsonElement element, string name) => element.ValueKind switch
    {
        JsonValueKind.Array => element.EnumerateArray().SelectMany(item => Arrays(item, name)),
        JsonValueKind.Object => element.EnumerateObject().SelectMany(member =>
            member.Name == name && member.Value.ValueKind == JsonValueKind.Array ? [member.Value] : Arrays(member.Value, name)),
        _ => [],
    };
}
