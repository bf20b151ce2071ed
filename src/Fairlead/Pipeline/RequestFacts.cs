using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;

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

    /// <summary>The conversation ends with an assistant turn to be continued.</summary>
    Prefill = 1024,
    Penalties = 2048,
    Seed = 4096,
    AudioOutput = 8192,
    CustomTools = 16384,
    PdfFiles = 32768,

    /// <summary>Text beside media, so that an image-only message can be told.</summary>
    UserText = 65536,
}

/// <summary>A range of the body.</summary>
internal readonly record struct ByteRange(int Start, int Length)
{
    public bool IsEmpty => Length == 0;

    public int End => Start + Length;
}

/// <summary>An assistant message to be judged again before it goes to a server.</summary>
/// <param name="Range">Where it stands.</param>
/// <param name="IsLoose">Whether any server may refuse it; else only one that refuses what it does not know.</param>
internal readonly record struct AssistantRepair(ByteRange Range, bool IsLoose);

/// <summary>
/// What one pass over the body found: everything that later stages need without deserializing the request. Written only while the request
/// is read (<see cref="Dialects.IRequestReader"/> and the extension headers); decisions of stages, deliveries and attempts have places of
/// their own.
/// </summary>
internal sealed class RequestFacts
{
    /// <summary>The model asked for, decoded.</summary>
    public string Model { get; set; } = "";

    /// <summary>The model's JSON string in the body, quotes included.</summary>
    public ByteRange ModelRange { get; set; }

    /// <summary>Whether the request asks for a stream. <see cref="GatewayCall.Streams"/> says what the call does.</summary>
    public bool Stream { get; set; }

    /// <summary>Whether the client asked for the extra usage chunk (OpenAI).</summary>
    public bool IncludeUsage { get; set; }

    /// <summary>Value of <c>stream_options</c> in the body; empty when absent.</summary>
    public ByteRange StreamOptionsRange { get; set; }

    /// <summary>The whole <c>fairlead</c> member, name, value and one adjoining comma; never forwarded.</summary>
    public ByteRange ExtensionMemberRange { get; set; }

    /// <summary>
    /// Further places that are cut when the body goes to a provider of the same dialect (thinking that another company's model made,
    /// which Anthropic would refuse); in order, each with its comma. Null when there are none.
    /// </summary>
    public List<ByteRange>? ForeignRanges { get; set; }

    /// <summary>Whether thinking is among <see cref="ForeignRanges"/>.</summary>
    public bool CutsThinking { get; set; }

    /// <summary>Ids of tool calls, quotes included, that Anthropic would refuse for their characters. Null when there are none.</summary>
    public List<ByteRange>? ForeignIds { get; set; }

    /// <summary>Value of <c>thinking</c> in a body that Anthropic would refuse for it; empty when there is none.</summary>
    public ByteRange UnsignedThinking { get; set; }

    /// <summary>Output cap as asked for, or null.</summary>
    public int? MaxOutputTokens { get; set; }

    /// <summary>Name of the field that <see cref="MaxOutputTokens"/> came from, for messages.</summary>
    public string MaxOutputTokensField { get; set; } = "max_tokens";

    public int ChoiceCount { get; set; } = 1;

    /// <summary>Prompts that are answered each for itself (text completions take several); 1 or more.</summary>
    public int PromptCount { get; set; } = 1;

    /// <summary>Completions made on the provider's side for each prompt, of which the best are given back; all are charged.</summary>
    public int BestOf { get; set; } = 1;

    /// <summary>Choices that a whole answer may be charged for.</summary>
    public int ChargedChoices => Math.Max(ChoiceCount, BestOf) * PromptCount;

    /// <summary>Choices that a whole answer has.</summary>
    public int ExpectedChoices => ChoiceCount * PromptCount;

    /// <summary>Roles of the body that are <c>developer</c> (OpenAI chat); null when there are none.</summary>
    public List<ByteRange>? DeveloperRoles { get; set; }

    /// <summary>The name <c>max_completion_tokens</c> in the body, quotes included; empty when absent.</summary>
    public ByteRange NewCapName { get; set; }

    /// <summary>
    /// The first word that the dialect's own servers do not know, as their refusal: another server may know it. A provider that holds to
    /// the list refuses the request with it. Null when there is none.
    /// </summary>
    public GatewayError? UnknownValue { get; set; }

    /// <summary>Whether a translation reads a field with such a word, and so cannot carry it over.</summary>
    public bool UnknownValueIsRead { get; set; }

    /// <summary>The refusal of the first tool whose name is longer than OpenAI's own servers take: a provider may shorten it. Null when there is none.</summary>
    public GatewayError? LongToolName { get; set; }

    /// <exception cref="GatewayErrorException">A field that is about to be read has a word that is not known here.</exception>
    public void ThrowIfForeign()
    {
        if (UnknownValueIsRead) throw new GatewayErrorException(UnknownValue!);
    }

    /// <summary>
    /// Assistant messages of the body that hold what servers returned and do not all take back (OpenAI chat): each is judged again, and
    /// repaired where its server needs it. Null when there are none.
    /// </summary>
    public List<AssistantRepair>? AssistantRepairs { get; set; }

    public RequestFeatures Features { get; set; }

    /// <summary>Path of the first part of a kind, for messages: by the feature's bit.</summary>
    public Dictionary<RequestFeatures, string> Paths { get; } = [];

    public double? Temperature { get; set; }

    public double? TopP { get; set; }

    public long? Seed { get; set; }

    public string? ReasoningEffort { get; set; }

    /// <summary>UTF-8 bytes of everything that becomes prompt text (JSON-escaped length is an acceptable upper bound).</summary>
    public int TextBytes { get; set; }

    public int MessageCount { get; set; }

    /// <summary>Inline images, and those by address: each counts by the model's tile rule or a flat estimate.</summary>
    public int ImageCount { get; set; }

    /// <summary>Base64 bytes of audio and files.</summary>
    public int MediaBytes { get; set; }

    /// <summary>Bytes of all inline media of the body, pictures too.</summary>
    public long InlineBytes { get; set; }

    /// <summary>Already tokenised input (embeddings, completions).</summary>
    public int InputTokenIds { get; set; }

    /// <summary>Whether vectors were asked for as base64 of little-endian float32 rather than as lists of numbers.</summary>
    public bool Base64Vectors { get; set; }

    /// <summary>Length of vectors asked for, or null.</summary>
    public int? Dimensions { get; set; }

    public CallExtension Extension { get; set; } = CallExtension.None;

    /// <summary>What the Responses dialect found beside; null in every other.</summary>
    public Dialects.OpenAiResponses.ResponsesFacts? Responses { get; set; }

    /// <summary>The JSON Schema of the output, in OpenAI's dialects; empty when there is none.</summary>
    public ByteRange SchemaRange { get; set; }

    /// <summary>What the gateway itself holds the output against; null for nothing.</summary>
    public StructuredOutput.StructuredOutputRequest? Structured { get; set; }

    /// <summary>The request of the gateway's own dialect; null in every other.</summary>
    public Dialects.FairleadV2.V2Request? V2 { get; set; }

    public bool Has(RequestFeatures feature) => (Features & feature) != 0;

    /// <summary>Notes a feature and, the first time, where it stands.</summary>
    public void Note(RequestFeatures feature, string? path = null)
    {
        if (path is not null && !Has(feature)) Paths.TryAdd(feature, path);
        Features |= feature;
    }
}

internal enum OnDisconnect
{
    /// <summary>Stop the provider at once and charge what was made.</summary>
    Cancel,

    /// <summary>Go on to the end.</summary>
    Continue,
}

/// <summary>The caller's wishes in Fairlead's own words: the body's <c>fairlead</c> object and the Fairlead-… headers.</summary>
internal sealed record CallExtension
{
    public static readonly CallExtension None = new();

    /// <summary>One of <see cref="CallClasses"/>; null if the request names none.</summary>
    public string? Class { get; init; }

    public TimeSpan? Deadline { get; init; }

    public OnDisconnect OnDisconnect { get; init; }

    /// <summary>What the request is for, such as <c>code</c>; overrides the catalogue's <c>task</c>.</summary>
    public string? Task { get; init; }

    /// <summary>Tokens joined into one piece of a stream, 1 to 64; null for the key's own setting.</summary>
    public int? BatchTokens { get; init; }

    /// <summary>Longest wait for them; null for the key's own setting.</summary>
    public TimeSpan? BatchDelay { get; init; }

    /// <summary>Whether the values of a structured output are shown as they are made, and the whole is checked.</summary>
    public bool Structured { get; init; }

    /// <summary>The most that the call may cost, with all its attempts; null for no bound of its own.</summary>
    public decimal? BudgetUsd { get; init; }

    /// <summary>
    /// Where the end of the generation is told, as written; null for nowhere. Only of generations that outlive their request.
    /// </summary>
    public string? Webhook { get; init; }
}
