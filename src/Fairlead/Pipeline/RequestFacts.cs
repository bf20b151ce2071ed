using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Security;
using Fairlead.Streaming;

namespace Fairlead.Pipeline;

/// <summary>Modalities and features that a request uses, found in the one pass over its bytes.</summary>
[Flags]
internal enum RequestFeatures
{
    None = 0,
    Images = 1,
    Audio = 2,
    Files = 4,
    Tools = 8,
    JsonSchema = 16,
    JsonObject = 32,
    Logprobs = 64,
    ReasoningEffort = 128,
    Temperature = 256,
    TopP = 512,

    /// <summary>The conversation ends with an assistant turn that the model continues.</summary>
    Prefill = 1024,
    Penalties = 2048,
    Seed = 4096,
    AudioOutput = 8192,
    CustomTools = 16384,
    PdfFiles = 32768,

    /// <summary>Text beside media, so that a message with only images can be recognised.</summary>
    UserText = 65536,
}

/// <summary>A range of the body.</summary>
internal readonly record struct ByteRange(int Start, int Length)
{
    public bool IsEmpty => Length == 0;

    public int End => Start + Length;
}

/// <summary>An assistant message that is checked again before it is sent to a server.</summary>
/// <param name="Range">Its position.</param>
/// <param name="IsLoose">Whether any server may refuse it; otherwise only servers that refuse unknown fields.</param>
internal readonly record struct AssistantRepair(ByteRange Range, bool IsLoose);

/// <summary>
/// What one pass over the body found: everything that later stages need without deserializing the request. Written only while the request
/// is read (<see cref="Dialects.IRequestReader"/> and the extension headers). Decisions of stages, deliveries and attempts are stored
/// elsewhere.
/// </summary>
internal sealed class RequestFacts
{
    /// <summary>The requested model, decoded.</summary>
    public string Model { get; set; } = "";

    /// <summary>The model's JSON string in the body, quotes included.</summary>
    public ByteRange ModelRange { get; set; }

    /// <summary>Whether the request asks for a stream. <see cref="GatewayCall.Streams"/> is what the call does.</summary>
    public bool Stream { get; set; }

    /// <summary>Whether the client requested the extra usage chunk (OpenAI).</summary>
    public bool IncludeUsage { get; set; }

    /// <summary>Value of <c>stream_options</c> in the body; empty if absent.</summary>
    public ByteRange StreamOptionsRange { get; set; }

    /// <summary>The whole <c>fairlead</c> member, name, value and one adjoining comma; never forwarded.</summary>
    public ByteRange ExtensionMemberRange { get; set; }

    /// <summary>
    /// Further ranges that are removed when the body is forwarded to a provider of the same dialect, such as reasoning of another vendor's
    /// model, which Anthropic would refuse. In order, each with its comma; null if there are none.
    /// </summary>
    public List<ByteRange>? ForeignRanges { get; set; }

    /// <summary>Whether thinking is among <see cref="ForeignRanges"/>.</summary>
    public bool CutsThinking { get; set; }

    /// <summary>Ids of tool calls, quotes included, that Anthropic would refuse for their characters. Null if there are none.</summary>
    public List<ByteRange>? ForeignIds { get; set; }

    /// <summary>Value of <c>thinking</c> in a body that Anthropic would refuse for it; empty if there is none.</summary>
    public ByteRange UnsignedThinking { get; set; }

    /// <summary>The requested maximum of output tokens, or null.</summary>
    public int? MaxOutputTokens { get; set; }

    /// <summary>Name of the field that <see cref="MaxOutputTokens"/> came from, for messages.</summary>
    public string MaxOutputTokensField { get; set; } = "max_tokens";

    public int ChoiceCount { get; set; } = 1;

    /// <summary>Independent prompts (text completions accept several); 1 or more.</summary>
    public int PromptCount { get; set; } = 1;

    /// <summary>Completions that the provider generates for each prompt. It returns the best of them; all are charged.</summary>
    public int BestOf { get; set; } = 1;

    /// <summary>Choices for which a whole response may be charged.</summary>
    public int ChargedChoices => Math.Max(ChoiceCount, BestOf) * PromptCount;

    /// <summary>Choices that a whole response has.</summary>
    public int ExpectedChoices => ChoiceCount * PromptCount;

    /// <summary>Roles of the body that are <c>developer</c> (OpenAI chat); null if there are none.</summary>
    public List<ByteRange>? DeveloperRoles { get; set; }

    /// <summary>The name <c>max_completion_tokens</c> in the body, quotes included; empty if absent.</summary>
    public ByteRange NewCapName { get; set; }

    /// <summary>
    /// The error for the first value that the dialect's own servers do not know; null if there is none. Another server may know the value.
    /// A provider that accepts only known values refuses the request with this error.
    /// </summary>
    public GatewayError? UnknownValueError { get; set; }

    /// <summary>Whether a translation reads a field with such a value, and so cannot translate it.</summary>
    public bool UnknownValueIsRead { get; set; }

    /// <summary>
    /// The error for the first tool whose name is longer than OpenAI's own servers accept; null if there is none. A provider may shorten
    /// it.
    /// </summary>
    public GatewayError? LongToolName { get; set; }

    /// <exception cref="GatewayErrorException">A translated field has an unknown value.</exception>
    public void ThrowIfUnknownValue()
    {
        if (UnknownValueIsRead) throw new GatewayErrorException(UnknownValueError!);
    }

    /// <summary>
    /// Assistant messages with fields that servers return but do not all accept (OpenAI chat). Each is checked again, and repaired if its
    /// server needs that. Null if there are none.
    /// </summary>
    public List<AssistantRepair>? AssistantRepairs { get; set; }

    public RequestFeatures Features { get; set; }

    /// <summary>Path of the first use of each feature, for error messages.</summary>
    public Dictionary<RequestFeatures, string> Paths { get; } = [];

    public double? Temperature { get; set; }

    public double? TopP { get; set; }

    public long? Seed { get; set; }

    /// <summary>Whether the request asks for the same output every time: the likeliest one, or that of a seed.</summary>
    public bool IsDeterministic => Temperature == 0 || Seed is not null;

    public string? ReasoningEffort { get; set; }

    /// <summary>The service tier that the request names, under the provider's name for it; null for none.</summary>
    public string? ServiceTier { get; set; }

    /// <summary>UTF-8 bytes of everything that becomes prompt text (JSON-escaped length is an acceptable upper bound).</summary>
    public int TextBytes { get; set; }

    public int MessageCount { get; set; }

    /// <summary>Images, inline or by URL. Each is counted by the model's tile rule or a flat estimate.</summary>
    public int ImageCount { get; set; }

    /// <summary>Base64 bytes of audio and files.</summary>
    public int MediaBytes { get; set; }

    /// <summary>Bytes of all inline media of the body, including images.</summary>
    public long InlineBytes { get; set; }

    /// <summary>Already tokenised input (embeddings, completions).</summary>
    public int InputTokenIds { get; set; }

    /// <summary>Whether vectors are requested as base64 of little-endian float32 instead of lists of numbers.</summary>
    public bool Base64Vectors { get; set; }

    /// <summary>The requested length of vectors, or null.</summary>
    public int? Dimensions { get; set; }

    /// <summary>Hosts of the URLs that the provider is asked to fetch; null if there are none.</summary>
    public RequestHosts? Hosts { get; private set; }

    /// <summary>The end user and the metadata that the request names; null for neither.</summary>
    public RequestLabels? Labels { get; private set; }

    public CallExtension Extension { get; set; } = CallExtension.None;

    /// <summary>Further facts of the Responses dialect; null for all others.</summary>
    public Dialects.OpenAiResponses.ResponsesFacts? Responses { get; set; }

    /// <summary>The JSON Schema of the output, in OpenAI's dialects; empty if there is none.</summary>
    public ByteRange SchemaRange { get; set; }

    /// <summary>The check of the output by the gateway itself; null for none.</summary>
    public StructuredOutput.OutputCheck? Structured { get; set; }

    /// <summary>The request in the gateway's own dialect; null for all others.</summary>
    public Dialects.FairleadV2.V2Request? V2 { get; set; }

    public bool Has(RequestFeatures feature) => (Features & feature) != 0;

    /// <summary>The labels, to be written while the request is read.</summary>
    public RequestLabels Label() => Labels ??= new RequestLabels();

    /// <summary>Records a string of the body if it is a URL of HTTP.</summary>
    /// <param name="text">The string, as it is in the body.</param>
    /// <param name="isEscaped">Whether it has JSON escapes.</param>
    /// <param name="path">Its field.</param>
    /// <exception cref="GatewayErrorException">The host is ambiguous, or there are too many hosts.</exception>
    public void NoteAddress(ReadOnlySpan<byte> text, bool isEscaped, Dialects.FieldPath path)
    {
        if (text.Length < 7) return;
        Span<byte> prefix = stackalloc byte[UrlHost.PrefixLength];
        var url = isEscaped ? JsonEscapes.DecodePrefix(text, prefix) : text[..Math.Min(prefix.Length, text.Length)];
        if (UrlHost.IsHttp(url)) (Hosts ??= new RequestHosts()).Add(url, path);
    }

    /// <summary>Records a feature and, the first time, its path.</summary>
    public void Note(RequestFeatures feature, string? path = null)
    {
        if (path is not null && !Has(feature)) Paths.TryAdd(feature, path);
        Features |= feature;
    }
}

internal enum OnDisconnect
{
    /// <summary>Stop the provider at once and charge what was generated.</summary>
    Cancel,

    /// <summary>Continue to the end.</summary>
    Continue,
}

/// <summary>Fairlead's own parameters: the <c>fairlead</c> object of the body and the Fairlead-… headers.</summary>
internal sealed record CallExtension
{
    public static readonly CallExtension None = new();

    /// <summary>One of <see cref="CallClasses"/>; null if the request names none.</summary>
    public string? Class { get; init; }

    public TimeSpan? Deadline { get; init; }

    public OnDisconnect OnDisconnect { get; init; }

    /// <summary>What the request is for, such as <c>code</c>; overrides the catalogue's <c>task</c>.</summary>
    public string? Task { get; init; }

    /// <summary>Tokens in one event of a stream, 1 to 64; null for the key's own setting.</summary>
    public int? BatchTokens { get; init; }

    /// <summary>Longest wait for them; null for the key's own setting.</summary>
    public TimeSpan? BatchDelay { get; init; }

    /// <summary>Whether the values of a structured output are sent while they are generated, and the whole is checked.</summary>
    public bool Structured { get; init; }

    /// <summary>Maximum cost of the call with all its attempts; null for no limit of its own.</summary>
    public decimal? BudgetUsd { get; init; }

    /// <summary>Which deployments it wants; null for no wishes.</summary>
    public RouteHints? Route { get; init; }

    /// <summary>By which deployments its stream may be continued; null for the key's own setting.</summary>
    public Streaming.RescueMode? Rescue { get; init; }

    /// <summary>What it wants of the cache of responses; null for nothing of its own.</summary>
    public CacheWish? Cache { get; init; }

    /// <summary>
    /// The URL that is called at the end of the generation, as sent; null for none. Only for generations that outlive their request.
    /// </summary>
    public string? Webhook { get; init; }
}
