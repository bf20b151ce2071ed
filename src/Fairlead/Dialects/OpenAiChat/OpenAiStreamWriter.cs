using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.Streaming;

namespace Fairlead.Dialects.OpenAiChat;

/// <summary>
/// Writes a stream of OpenAI's chunks. Chunks of a provider of the same dialect are forwarded with the model's name and our additions
/// spliced in; canonical events become chunks of our own. Chunks that end a choice, and those with usage only, wait
/// for <see cref="WriteEnd"/>: only then is it known whether the stream succeeds. The last of them has the usage and the final
/// <c>fairlead</c> object.
/// </summary>
internal abstract class OpenAiStreamWriter : DialectStreamWriter
{
    // A prefix that changes with every chunk (a varying member before the model's name) is not worth caching.
    private const int MaxPrefixes = 4;

    private readonly bool _extensions;
    private byte[]? _model;
    private readonly List<byte[]> _heldFinishes = [];
    private readonly List<(int Choice, FinishReason Reason)> _finishes = [];
    private readonly List<int> _started = [];
    private byte[]? _heldUsage;
    private byte[]? _head;
    private byte[]? _upstreamPrefix;
    private byte[] _ownPrefix = [];
    private int _prefixes;
    private string _id;
    private long _created;
    private string? _fingerprint;
    private string? _tier;
    private long _sequence;
    private bool _nativeSeen;

    protected OpenAiStreamWriter(GatewayCall call, string idPrefix)
    {
        Call = call;
        _extensions = call.Caller.Extensions;
        _id = idPrefix + call.GenerationId[(call.GenerationId.IndexOf('_', StringComparison.Ordinal) + 1)..];
        _created = call.StartedAt.ToUnixTimeSeconds();
    }

    /// <summary>Content of the <c>fairlead</c> member of an event.</summary>
    private enum Extra
    {
        None,
        Final,
    }

    protected GatewayCall Call { get; }

    // Not before the first event: only then is it known which model answers.
    private byte[] Model => _model ??= BodySplicer.Quote(Call.ReportedModel);

    /// <summary>Value of <c>object</c> in every chunk.</summary>
    protected abstract ReadOnlySpan<byte> ObjectName { get; }

    public override void Write(EventBatch batch, IBufferWriter<byte> output)
    {
        foreach (var item in batch.Items)
        {
            if (item.Event is { } generationEvent) Canonical(generationEvent, output);
            else Native(batch.DataOf(item), item.Traits, output);
        }
    }

    public override void WriteEnd(IBufferWriter<byte> output)
    {
        if (ErrorOf(Call.Ending) is { } error)
        {
            WriteError(error, output);
            return;
        }
        if (_heldFinishes.Count == 0) CompleteFinishes(output);
        var usage = Call.Facts.IncludeUsage;
        for (var i = 0; i < _heldFinishes.Count; i++)
        {
            var last = !usage && _finishes.Count == 0 && i == _heldFinishes.Count - 1;
            Splice(usage ? WithoutUsage(_heldFinishes[i])
                : last && _extensions ? WithUsage(_heldFinishes[i])
                : _heldFinishes[i], last ? Extra.Final
                : Extra.None, output);
        }
        for (var i = 0; i < _finishes.Count; i++)
        {
            var json = Begin(output);
            AppendFinish(ref json, _finishes[i].Choice, _finishes[i].Reason);
            End(ref json, !usage && i == _finishes.Count - 1 ? Extra.Final : Extra.None);
        }
        if (usage && _heldUsage is not null && NativeUsage.IsTrusted(Call))
        {
            Splice(_heldUsage, Extra.Final, output);
        }
        else if (usage)
        {
            var json = Begin(output);
            json.Raw("],\"usage\":"u8);
            OpenAiJson.AppendUsage(ref json, Call.Ending!.Usage);
            Tail(ref json, Extra.Final);
        }
        output.Write("data: [DONE]\n\n"u8);
    }

    /// <summary>
    /// Writes the chunks of one event by <see cref="Begin"/> and <see cref="End(ref JsonAppender)"/>; starts of choices are announced
    /// with <see cref="Starts"/>.
    /// </summary>
    protected abstract void WriteEvent(GenerationEvent generationEvent, IBufferWriter<byte> output);

    /// <summary>Called once for every choice, before its first event.</summary>
    protected virtual void WriteChoiceStart(int choice, IBufferWriter<byte> output)
    {
    }

    /// <summary>Appends the choice object that ends a choice.</summary>
    protected abstract void AppendFinish(ref JsonAppender json, int choice, FinishReason reason);

    /// <summary>Starts a chunk of our own; its choices follow.</summary>
    protected JsonAppender Begin(IBufferWriter<byte> output)
    {
        var json = new JsonAppender(output);
        Lead(ref json);
        json.Raw(_head ??= MakeHead());
        return json;
    }

    protected void End(ref JsonAppender json) => End(ref json, Extra.None);

    /// <summary>
    /// A chunk without choices that has a value of a structured output, for clients that requested it and accept additions.
    /// </summary>
    protected void WritePartial(PartialValue partial, IBufferWriter<byte> output)
    {
        if (!_extensions) return;
        var json = Begin(output);
        json.Raw("]"u8);
        if (Call.Facts.IncludeUsage) json.Raw(",\"usage\":null"u8);
        json.Raw(",\"fairlead\":{\"partial\":{\"pointer\":"u8);
        json.String(partial.Pointer);
        json.Raw(",\"value\":"u8);
        json.Raw(System.Text.Encoding.UTF8.GetBytes(partial.Json));
        json.Raw("}}"u8);
        Tail(ref json, Extra.None);
    }

    private void End(ref JsonAppender json, Extra extra)
    {
        json.Raw("]"u8);
        if (Call.Facts.IncludeUsage)
        {
            json.Raw(",\"usage\":null"u8);
        }
        else if (extra == Extra.Final && _extensions)
        {
            json.Raw(",\"usage\":"u8);
            OpenAiJson.AppendUsage(ref json, Call.Ending!.Usage);
        }
        Tail(ref json, extra);
    }

    private static GatewayError? ErrorOf(CallEnding? ending) => ending switch
    {
        null => new GatewayError(ErrorCode.InternalError, "The stream ended without a final status."),
        { Error: { } error } => error,
        { Outcome: Outcome.Deadline } =>
            new GatewayError(ErrorCode.DeadlineExceeded, "The deadline of the request passed before the response was complete."),
        { Outcome: Outcome.ProviderLost or Outcome.Failed } =>
            new GatewayError(ErrorCode.ProviderError, "The provider's stream was interrupted before the response was complete."),
        { Outcome: Outcome.Cancelled } => new GatewayError(ErrorCode.Conflict, "The call was cancelled before the response was complete."),
        _ => null,
    };

    private void Canonical(GenerationEvent generationEvent, IBufferWriter<byte> output)
    {
        switch (generationEvent)
        {
            case ResponseStarted started:
                _fingerprint ??= started.SystemFingerprint;
                _tier ??= started.ServiceTier;
                break;
            case UsageReported or AttemptFailed:
                break;
            case ChoiceFinished finished:
                Starts(finished.Choice, output);
                // Some servers end a choice twice; the last reason counts.
                _finishes.RemoveAll(held => held.Choice == finished.Choice);
                _finishes.Add((finished.Choice, finished.Reason));
                break;
            default:
                Starts(generationEvent.Choice, output);
                WriteEvent(generationEvent, output);
                break;
        }
    }

    private void Starts(int choice, IBufferWriter<byte> output)
    {
        if (_started.Contains(choice)) return;
        _started.Add(choice);
        // A stream that was forwarded so far has started its choice.
        if (!_nativeSeen) WriteChoiceStart(choice, output);
    }

    // A provider ended the stream without a finish reason: clients need one for every choice, and the outcome has it.
    private void CompleteFinishes(IBufferWriter<byte> output)
    {
        if (!_nativeSeen && _started.Count == 0)
        {
            for (var choice = 0; choice < Call.Facts.ExpectedChoices; choice++) Starts(choice, output);
        }
        var reason = OpenAiJson.ReasonOf(Call.Ending);
        for (var choice = 0; choice < Call.Facts.ExpectedChoices; choice++)
        {
            if (!_nativeSeen && !_started.Contains(choice)) continue;
            if (!_finishes.Exists(f => f.Choice == choice)) _finishes.Add((choice, reason));
        }
    }

    private void Native(ReadOnlySpan<byte> data, NativeEventTraits traits, IBufferWriter<byte> output)
    {
        if ((traits & (NativeEventTraits.End | NativeEventTraits.Ping)) != 0) return;
        data = data.Trim(" \t\r\n"u8);
        if (data.IsEmpty) return;
        data = GatewayJsonFields.Without(data);
        if (!_nativeSeen) Learn(data);
        if ((traits & NativeEventTraits.OnlyUsage) != 0)
        {
            _heldUsage = data.ToArray();
            return;
        }
        if ((traits & NativeEventTraits.Finish) == 0)
        {
            Splice(data, Extra.None, output);
            return;
        }
        if ((traits & NativeEventTraits.Content) == 0)
        {
            Hold(data.ToArray());
            return;
        }
        // Content is sent at once, its reason waits: the content must not be lost if the stream fails before its end.
        var (content, finish) = NativeChunk.Split(data);
        Splice(content, Extra.None, output);
        Hold(finish);
    }

    // Servers that write a reason into every chunk of a choice, or end it twice, mean the last one.
    private void Hold(byte[] finish)
    {
        if (_heldFinishes.Count > 0)
        {
            var choice = NativeChunk.ChoiceOf(finish);
            _heldFinishes.RemoveAll(held => NativeChunk.ChoiceOf(held) == choice);
        }
        _heldFinishes.Add(finish);
    }

    private void Learn(ReadOnlySpan<byte> data)
    {
        _nativeSeen = true;
        _id = NativeChunk.Text(data, "id"u8) ?? _id;
        _created = NativeChunk.Number(data, "created"u8) ?? _created;
        _fingerprint = NativeChunk.Text(data, "system_fingerprint"u8);
        _tier = NativeChunk.Text(data, "service_tier"u8);
    }

    // Copies one JSON object with the model's name changed and our members before its closing brace.
    private void Splice(ReadOnlySpan<byte> data, Extra extra, IBufferWriter<byte> output)
    {
        if (data.IndexOfAny((byte)'\n', (byte)'\r') >= 0) data = OnOneLine(data);
        var json = new JsonAppender(output);
        Lead(ref json);
        if (_upstreamPrefix is not null && data.StartsWith(_upstreamPrefix))
        {
            json.Raw(_ownPrefix);
            json.Raw(data[_upstreamPrefix.Length..^1]);
        }
        else
        {
            var model = NativeChunk.FindModel(data);
            if (model.IsEmpty)
            {
                json.Raw(data[..^1]);
            }
            else
            {
                if (_prefixes++ < MaxPrefixes)
                {
                    _upstreamPrefix = data[..model.End].ToArray();
                    _ownPrefix = [.. data[..model.Start], .. Model];
                }
                json.Raw(data[..model.Start]);
                json.Raw(Model);
                json.Raw(data[model.End..^1]);
            }
        }
        Tail(ref json, extra, isEmptyObject: data.Length <= 2 || data[1..^1].Trim(" \t"u8).IsEmpty);
    }

    private void WriteError(GatewayError error, IBufferWriter<byte> output)
    {
        var body = new ArrayBufferWriter<byte>(512);
        ErrorBodyWriter.WriteBody(body, error, ErrorShape.OpenAi, Call.RequestId, Call.Site);
        var json = new JsonAppender(output);
        Lead(ref json);
        json.Raw(body.WrittenSpan[..^1]);
        Tail(ref json, Extra.Final);
    }

    private void Lead(ref JsonAppender json)
    {
        if (_extensions)
        {
            json.Raw("id: "u8);
            json.Number(_sequence);
            json.Raw("\ndata: "u8);
        }
        else
        {
            json.Raw("data: "u8);
        }
    }

    private void Tail(ref JsonAppender json, Extra extra, bool isEmptyObject = false)
    {
        if (_extensions)
        {
            json.Raw(isEmptyObject ? "\"sequence_number\":"u8 : ",\"sequence_number\":"u8);
            json.Number(_sequence);
            if (extra == Extra.Final)
            {
                json.Raw(",\"fairlead\":"u8);
                FairleadObjectWriter.AppendFinal(ref json, Call);
            }
            else if (_sequence == 0)
            {
                json.Raw(",\"fairlead\":"u8);
                FairleadObjectWriter.AppendStart(ref json, Call);
            }
        }
        _sequence++;
        json.Raw("}\n\n"u8);
        json.Flush();
    }

    private byte[] MakeHead()
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        var json = new JsonAppender(buffer);
        json.Raw("{\"id\":"u8);
        json.String(_id);
        json.Raw(",\"object\":\""u8);
        json.Raw(ObjectName);
        json.Raw("\",\"created\":"u8);
        json.Number(_created);
        json.Raw(",\"model\":"u8);
        json.Raw(Model);
        if (_tier is not null)
        {
            json.Raw(",\"service_tier\":"u8);
            json.String(_tier);
        }
        if (_fingerprint is not null)
        {
            json.Raw(",\"system_fingerprint\":"u8);
            json.String(_fingerprint);
        }
        json.Raw(",\"choices\":["u8);
        json.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    // In JSON a raw line break is white space between tokens; as a space it keeps the event on one data line.
    private static byte[] OnOneLine(ReadOnlySpan<byte> data)
    {
        var copy = data.ToArray();
        copy.AsSpan().Replace((byte)'\n', (byte)' ');
        copy.AsSpan().Replace((byte)'\r', (byte)' ');
        return copy;
    }

    // Clients that did not request the extra chunk receive the usage where most servers put it: in the chunk that ends the response. A
    // chunk keeps its own usage if it has one.
    private byte[] WithUsage(byte[] data)
    {
        if (!NativeChunk.Find(data, "usage"u8, JsonTokenType.StartObject).IsEmpty) return NativeUsage.Correct(Call, data).ToArray();
        var buffer = new ArrayBufferWriter<byte>(data.Length + 256);
        var json = new JsonAppender(buffer);
        var none = NativeChunk.Find(data, "usage"u8, JsonTokenType.Null);
        json.Raw(none.IsEmpty ? data.AsSpan(0, data.Length - 1) : data.AsSpan(0, none.Start));
        if (none.IsEmpty) json.Raw(",\"usage\":"u8);
        var reported = _heldUsage is null || !NativeUsage.IsTrusted(Call)
            ? default
            : NativeChunk.Find(_heldUsage, "usage"u8, JsonTokenType.StartObject);
        if (reported.IsEmpty) OpenAiJson.AppendUsage(ref json, Call.Ending!.Usage);
        else json.Raw(_heldUsage.AsSpan(reported.Start, reported.Length));
        json.Raw(none.IsEmpty ? "}"u8 : data.AsSpan(none.End));
        json.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    // Some clients add up usage over chunks: if the extra chunk has it, no other chunk may.
    private static byte[] WithoutUsage(byte[] data)
    {
        var usage = NativeChunk.Find(data, "usage"u8, JsonTokenType.StartObject);
        return usage.IsEmpty ? data : [.. data.AsSpan(0, usage.Start), .. "null"u8, .. data.AsSpan(usage.End)];
    }
}
