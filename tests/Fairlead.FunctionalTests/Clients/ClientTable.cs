namespace Fairlead.FunctionalTests.Clients;

/// <summary>The clients that must work unmodified, and what each must be shown to do. A place without a passing test is a hole, and <see cref="ClientTableTests"/> or <see cref="NodeClientTests"/> fails.</summary>
internal static class ClientTable
{
    public const string Chat = "chat";
    public const string Stream = "stream";
    public const string Tools = "tools";
    public const string StructuredOutput = "structured output";
    public const string Embeddings = "embeddings";

    /// <summary>
    /// If the provider cuts a stream, the client sees a failure after the received content, and never a finished response.
    /// </summary>
    public const string CutStream = "cut stream";
    public const string BadRequest = "400";
    public const string Unauthorized = "401";
    public const string Forbidden = "403";
    public const string NotFound = "404";
    public const string TooManyRequests = "429";
    public const string Unavailable = "503";

    public static readonly IReadOnlyList<string> Features =
        [Chat, Stream, Tools, StructuredOutput, Embeddings, CutStream, BadRequest, Unauthorized, Forbidden, NotFound, TooManyRequests, Unavailable];

    // Anthropic has no embeddings, and so its clients have none; nor has the Responses API.
    public static readonly IReadOnlyList<ClientRow> Rows =
    [
        new("NuGet OpenAI") { Tests = typeof(OpenAiClientTests) },
        new("NuGet Anthropic") { Tests = typeof(AnthropicClientTests), Without = [Embeddings] },
        new("NuGet Microsoft.Extensions.AI.OpenAI") { Tests = typeof(ExtensionsAiClientTests) },
        new("openai") { File = "openai.test.mjs" },
        new("openai responses") { File = "openai-responses.test.mjs", Without = [Embeddings] },
        new("@anthropic-ai/sdk 1.x") { File = "anthropic-1.test.mjs", Without = [Embeddings] },
        new("@anthropic-ai/sdk 0.122") { File = "anthropic-0.test.mjs", Without = [Embeddings] },
        new("@ai-sdk/openai") { File = "ai-sdk.test.mjs" },
        new("@ai-sdk/openai responses") { File = "ai-sdk.test.mjs", Without = [Embeddings] },
        new("@ai-sdk/openai-compatible") { File = "ai-sdk.test.mjs" },
        new("@ai-sdk/anthropic") { File = "ai-sdk.test.mjs", Without = [Embeddings] },
        new("@langchain/openai") { File = "langchain.test.mjs" },
    ];
}

/// <summary>One client: a class of .NET tests marked with <see cref="ShowsAttribute"/>, or a file of Node tests named <c>client | feature</c>.</summary>
internal sealed record ClientRow(string Name)
{
    public Type? Tests { get; init; }

    public string? File { get; init; }

    /// <summary>Features that the client itself does not have.</summary>
    public IReadOnlyList<string> Without { get; init; } = [];

    public IEnumerable<string> Features => ClientTable.Features.Except(Without);
}

/// <summary>Says which place of the table a test fills.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class ShowsAttribute(string feature) : Attribute
{
    public string Feature => feature;
}
