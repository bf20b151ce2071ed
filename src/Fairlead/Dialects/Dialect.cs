using System.Collections.Frozen;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects;

/// <summary>
/// An API format of clients: its facts, and the parts that read and write it. A part that the dialect lacks is null. Only the dialect's
/// folder knows its field names. Immutable; one instance for each dialect.
/// </summary>
internal sealed class Dialect
{
    /// <summary>Such as <c>openai.chat</c>. Stored with generations and audit records; no code outside the dialect compares it.</summary>
    public required string Name { get; init; }

    /// <summary>Address at which the dialect is served, such as <c>/v1/chat/completions</c>.</summary>
    public required string Path { get; init; }

    public required Operation Operation { get; init; }

    public required ErrorShape ErrorShape { get; init; }

    /// <summary>The scope that a key needs.</summary>
    public required string Scope { get; init; }

    /// <summary>Name of the field that holds the input, for errors that concern all of it.</summary>
    public string InputField { get; init; } = "messages";

    /// <summary>Name of the field with the wishes for deployments.</summary>
    public string RouteField { get; init; } = "fairlead.route";

    /// <summary>Name of the field that holds the class of the call.</summary>
    public string ClassField { get; init; } = "fairlead.class";

    /// <summary>Name of the field that holds the webhook's URL.</summary>
    public string WebhookField { get; init; } = "fairlead.webhook.url";

    /// <summary>The field with the maximum cost of the call, for errors.</summary>
    public string BudgetField { get; init; } = "fairlead.budget_usd";

    /// <summary>
    /// Fields of the body that do not shape the output: who asks, how the response is delivered, what is noted beside it. All others, also
    /// unknown ones, are part of the request's identity; <c>model</c> and <c>fairlead</c> have parts of their own there.
    /// </summary>
    public FrozenSet<string> FieldsWithoutEffect { get; init; } = FrozenSet.Create(StringComparer.Ordinal, "model", "fairlead");

    /// <summary>
    /// The least maximum of output tokens that its servers accept, for requests whose output the gateway caps;
    /// <see cref="int.MaxValue"/> if they accept none.
    /// </summary>
    public int MinOutputCap { get; init; } = 1;

    /// <summary>Whether the input consists of messages; false for plain text, which has no tokens of message framing.</summary>
    public bool HasMessages { get; init; } = true;

    /// <summary>Whether a connection of this dialect can remember earlier responses.</summary>
    public bool HasSessions { get; init; }

    public required IRequestReader Requests { get; init; }

    /// <summary>Translation to a canonical conversation.</summary>
    public IConversationDialect? Conversations { get; init; }

    /// <summary>Translation to a canonical embeddings request.</summary>
    public IEmbeddingsDialect? Embeddings { get; init; }

    /// <summary>Forwarding to providers with the same API.</summary>
    public NativeWire? Native { get; init; }

    public required IResponseWriter Responses { get; init; }

    /// <summary>Streamed responses.</summary>
    public IStreamResponses? Streams { get; init; }

    /// <summary>Streams that are stored and can be read again.</summary>
    public IStoredStreams? StoredStreams { get; init; }

    /// <summary>Streams as messages of a WebSocket.</summary>
    public IMessageStreams? Messages { get; init; }

    /// <summary>Execution in the background, as a field of the request asks for it.</summary>
    public IBackgroundRequests? Background { get; init; }

    /// <summary>
    /// Fields that choose the delivery. Without them, the <c>Prefer</c> header may choose for a request that asks for no stream.
    /// </summary>
    public IDeliveryChoice? Delivery { get; init; }
}
