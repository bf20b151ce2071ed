using System.Buffers;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Generations;
using Fairlead.Pipeline;
using Fairlead.Streaming;
using Fairlead.TokenCounting;

namespace Fairlead.Dialects;

/// <summary>
/// A wire format clients speak: the only code that knows its field names. Singletons; thread-safe; state of one stream lives in its
/// <see cref="DialectStreamWriter"/>.
/// </summary>
internal abstract class Dialect
{
    /// <summary>Such as <c>openai.chat</c>.</summary>
    public abstract string Name { get; }

    public abstract Operation Operation { get; }

    public abstract ErrorShape ErrorShape { get; }

    /// <summary>The field that holds the input, named where the whole of it is at fault.</summary>
    public virtual string InputField => "messages";

    /// <summary>The field that says the class of the call.</summary>
    public virtual string ClassField => "fairlead.class";

    /// <summary>The field that says where the end of a generation is told.</summary>
    public virtual string WebhookField => "fairlead.webhook.url";

    /// <summary>
    /// Whether requests of it are conversations, which keep their whole meaning in the inner language unless a warning says otherwise.
    /// </summary>
    public virtual bool IsConversation => false;

    /// <summary>The scope a key needs.</summary>
    public abstract string Scope { get; }

    /// <summary>
    /// One pass over <see cref="GatewayCall.Body"/>: checks the shape, fills <see cref="GatewayCall.Facts"/>. No DTOs, no copies of texts.
    /// Null when all is well, else the first fault in the order of the body.
    /// </summary>
    public abstract GatewayError? Read(GatewayCall call, RequestBounds bounds);

    /// <summary>Finds what the request refers to and this gateway keeps. Called once, after <see cref="Read"/> found no fault.</summary>
    public virtual ValueTask<GatewayError?> ResolveAsync(GatewayCall call, RequestBounds bounds, CancellationToken cancellationToken) => default;

    /// <summary>Whether the request asks, in the dialect's own words, to be answered at once and worked on afterwards.</summary>
    public virtual bool IsBackground(GatewayCall call) => false;

    /// <summary>Whether the request asks for a stream that can be read again, also when this process has stopped: the generation is kept from its beginning.</summary>
    public virtual bool KeepsStream(GatewayCall call) => false;

    /// <summary>Its view of such a stream.</summary>
    /// <param name="call">The request read again.</param>
    /// <param name="record">The generation.</param>
    public virtual GenerationView CreateView(GatewayCall call, GenerationRecord record) => throw new NotSupportedException($"{Name} keeps no streams.");

    /// <summary>Whether a provider's stream in this dialect can be put together to what a call that had not asked for one is answered with, see <see cref="DialectStreamWriter.Whole"/>.</summary>
    public virtual bool ReadsStreams => false;

    /// <summary>What a provider's event in this dialect adds to an answer, in the inner language; null when it adds nothing that has a word there.</summary>
    public virtual GenerationEvent? Understand(ReadOnlySpan<byte> data, int kind) => null;

    /// <summary>Names the place of a fault in the caller's own words: who finds one in the inner language knows only that one's.</summary>
    public virtual GatewayError Place(GatewayCall call, GatewayError error) => error;

    /// <summary>Whether such a stream has a way to say that another run began and all before it is void. If not, what has been told is not made anew.</summary>
    public virtual bool CanRestart => true;

    /// <summary>How the request itself asks to be delivered when it does not want to wait for its end; null when it says nothing of the kind.</summary>
    public virtual Pipeline.Preference? DeliveryOf(GatewayCall call) => null;

    /// <summary>Whether the header <c>Prefer</c> may say how the answer is delivered.</summary>
    public virtual bool TakesPreference(GatewayCall call) => !call.Facts.Stream;

    /// <summary>What such a request is answered with when it was accepted.</summary>
    public virtual void WriteAccepted(GatewayCall call, IBufferWriter<byte> output) => throw new NotSupportedException($"{Name} has no work in the background.");

    /// <summary>Called before <see cref="WriteReply"/>, with the call's ending set: the last chance to keep what it will write.</summary>
    public virtual ValueTask PrepareReplyAsync(GatewayCall call, GatewayReply reply) => default;

    /// <summary>The request in the inner language. Only called after <see cref="Read"/> found no fault.</summary>
    /// <exception cref="GatewayErrorException">Something in it has no meaning there.</exception>
    public virtual ConversationRequest ToConversation(GatewayCall call) => throw new NotSupportedException($"{Name} is no conversation.");

    public virtual EmbeddingsRequest ToEmbeddings(GatewayCall call) => throw new NotSupportedException($"{Name} makes no embeddings.");

    /// <summary>
    /// The body as it goes to a provider that speaks this dialect: the client's own bytes with the model's name and usage flags spliced
    /// and the <c>fairlead</c> member cut out.
    /// </summary>
    public virtual void WriteUpstreamBody(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) => throw new NotSupportedException();

    /// <summary>Reads usage, finish reason and model out of a provider's whole native body. False when it is not a valid answer of this dialect.</summary>
    public virtual bool ScanAnswer(ReadOnlySpan<byte> body, AnswerMeter meter) => throw new NotSupportedException();

    /// <summary>A reader of a provider's native stream in this dialect.</summary>
    public virtual NativeStreamScanner CreateScanner(AnswerMeter meter) => throw new NotSupportedException();

    /// <summary>The whole response that a stream of this dialect brings in its last event; null where there is none.</summary>
    public virtual byte[]? WholeOf(ReadOnlySpan<byte> events) => null;

    /// <summary>Whether a whole response that came where a stream was asked for has a form as events of this dialect, see <see cref="EventsOf"/>.</summary>
    public virtual bool ReadsDocumentsAsEvents => false;

    /// <summary>The events that a whole response would have been as a stream.</summary>
    public virtual IEnumerable<byte[]> EventsOf(ReadOnlyMemory<byte> document, long createdAt) => [];

    /// <summary>
    /// Where a native event that carries a piece of text, reasoning or arguments holds it, so that it can be joined with others. False for every event that must
    /// go on as it came. Only asked for events that the scanner found to hold content and no end.
    /// </summary>
    public virtual bool TryFindDelta(ReadOnlySpan<byte> data, int kind, out DeltaShape shape)
    {
        shape = default;
        return false;
    }

    /// <summary>
    /// The whole answer as the client gets it. <see cref="GatewayCall.Ending"/> is set. With extensions off, nothing is added to the native shape.
    /// </summary>
    public abstract void WriteReply(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output);

    /// <summary>
    /// Whether a stream begins when the call is accepted, since the dialect has events for what comes before content, and for failures; else it begins with
    /// the first content, and a failure before that is a proper status.
    /// </summary>
    public virtual bool CommitsAtAcceptance => false;

    public virtual DialectStreamWriter CreateStreamWriter(GatewayCall call) => throw new NotSupportedException($"{Name} does not stream.");
}

/// <summary>Finds in a native event what the stages care about, without materialising it. One per stream.</summary>
internal abstract class NativeStreamScanner
{
    /// <summary>The bytes that take the place of the event judged last, where it had to be repaired; null where it goes on as it came.</summary>
    public byte[]? Repaired { get; protected set; }

    /// <summary>Whether a choice began and has not ended.</summary>
    public virtual bool HasOpenChoice => false;

    /// <summary>
    /// Judges one event and feeds the meter. <paramref name="eventName"/> is empty where the dialect has none; <paramref name="data"/> is the joined data.
    /// </summary>
    /// <returns>The kind and traits under which it goes into the batch; null to leave it out (malformed: the meter counts it; unknown comments).</returns>
    /// <param name="error">Set when the event is the provider's error event; the source then ends with it.</param>
    public abstract (int Kind, NativeEventTraits Traits)? Scan(ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> data, out UpstreamError? error);
}

/// <summary>A provider's error as read from its body or event, before it is cleaned for clients.</summary>
/// <param name="Type">The provider's type or code.</param>
/// <param name="Message">The provider's text; must pass the allow-list before a client may see it.</param>
internal sealed record UpstreamError(string? Type, string? Message);

/// <summary>
/// Turns batches into the bytes of a stream, numbering events as it goes. One per reader; not thread-safe. Everything handed to it in one
/// call leaves in one flush.
/// </summary>
internal abstract class DialectStreamWriter
{
    /// <summary>What a stream of a dialect that <see cref="Dialect.CommitsAtAcceptance"/> begins with, before anything else is there.</summary>
    public virtual void WriteStart(IBufferWriter<byte> output)
    {
    }

    /// <summary>
    /// Writes the events of <paramref name="batch"/>. What must carry the call's end (finish, usage, last event) is held back for <see cref="WriteEnd"/>.
    /// </summary>
    public abstract void Write(EventBatch batch, IBufferWriter<byte> output);

    /// <summary>Called before <see cref="WriteEnd"/>, with the call's ending set: the last chance to keep what it will write.</summary>
    public virtual ValueTask PrepareEndAsync() => default;

    /// <summary>What a call that had not asked for a stream would have been answered with. Called after <see cref="PrepareEndAsync"/>.</summary>
    public virtual byte[] Whole() => throw new NotSupportedException();

    /// <summary>
    /// Ends the stream as <see cref="GatewayCall.Ending"/> says: the held events, the final metadata and the dialect's end mark; or, for an ending with an
    /// error, the dialect's error event and no end mark, after which the edge aborts the connection where a clean end would look like success.
    /// </summary>
    public abstract void WriteEnd(IBufferWriter<byte> output);
}
