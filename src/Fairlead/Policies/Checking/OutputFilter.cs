using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Pipeline;
using Fairlead.Policies.Matching;
using Fairlead.Streaming;

namespace Fairlead.Policies.Checking;

/// <summary>
/// The output of a call on its way to the client: each text of each choice passes through its own channel, and an event leaves with what its
/// channel lets pass. A text that is followed by another kind of output ends there, so that the order stays. When a rule stops a text, all
/// choices end with <see cref="FinishReason.ContentFilter"/>. One owner, who disposes it.
/// </summary>
internal sealed class OutputFilter(GatewayCall call, CallPolicy policy) : IDisposable
{
    private readonly Dictionary<ChannelKey, OutputChannel> _channels = [];
    private readonly Dictionary<(int Choice, int Index), ToolKind> _tools = [];
    private readonly SortedSet<int> _choices = [];
    private readonly HashSet<int> _finished = [];
    private readonly Dictionary<int, List<JsonNode?>> _notes = [];
    private readonly HashSet<int> _moved = [];
    private bool _hasWarned;

    /// <summary>Whether a rule stopped the output: nothing may follow.</summary>
    public bool IsBlocked { get; private set; }

    /// <summary>The tool call whose arguments were stopped, by choice and position; null for none.</summary>
    public (int Choice, int Index)? StoppedCall { get; private set; }

    /// <summary>Tells of a choice before its first event, so that it ends even if a rule stops another one first.</summary>
    public void Expect(int choice) => _choices.Add(choice);

    /// <summary>Adds to <paramref name="output"/> what may leave after this event.</summary>
    public async ValueTask AddAsync(GenerationEvent made, EventBatch output, CancellationToken cancellationToken)
    {
        var choice = made.Choice;
        switch (made)
        {
            case TextDelta text:
                await PushAsync(new(choice, Channel.Text), text.Text, output, cancellationToken);
                if (text.Logprobs is not null) WarnOfLogprobs();
                break;
            case ReasoningDelta { Redacted: null, Signature: null } reasoning:
                await PushAsync(new(choice, Channel.Reasoning), reasoning.Text, output, cancellationToken);
                break;
            case ReasoningDelta sealedPart:
                await AddSealAsync(sealedPart, output, cancellationToken);
                break;
            case RefusalDelta refusal:
                await PushAsync(new(choice, Channel.Refusal), refusal.Text, output, cancellationToken);
                break;
            case ToolCallStarted started:
                _choices.Add(choice);
                await EndAsync(choice, static key => key.Channel is not (Channel.Tool or Channel.Transcript), output, cancellationToken);
                if (IsBlocked) break;
                _tools[(choice, started.Index)] = started.Kind;
                output.Add(started);
                break;
            case ToolCallDelta delta:
                await PushAsync(new(choice, Channel.Tool, delta.Index), delta.Arguments, output, cancellationToken);
                break;
            case AnnotationsAdded annotations:
                await AddNotesAsync(annotations, output, cancellationToken);
                break;
            case AudioDelta audio:
                await AddAudioAsync(audio, output, cancellationToken);
                break;
            case ChoiceFinished finished:
                await FinishAsync(finished, output, cancellationToken);
                break;
            case AttemptFailed:
                // What was made before is a valid beginning.
                await CompleteAsync(output, cancellationToken);
                if (!IsBlocked) output.Add(made);
                return;
            default:
                output.Add(made);
                break;
        }
        if (IsBlocked) Stop(output);
    }

    /// <summary>The source has ended: adds what was held back.</summary>
    public async ValueTask CompleteAsync(EventBatch output, CancellationToken cancellationToken)
    {
        if (IsBlocked) return;
        foreach (var choice in _choices.ToArray())
        {
            await EndAsync(choice, static _ => true, output, cancellationToken);
            if (!IsBlocked) continue;
            Stop(output);
            return;
        }
    }

    public void Dispose()
    {
        foreach (var channel in _channels.Values) channel.Dispose();
        _channels.Clear();
    }

    // Sound waits until what it says has been checked.
    private readonly List<AudioDelta> _audio = [];

    private async ValueTask PushAsync(ChannelKey key, string text, EventBatch output, CancellationToken cancellationToken)
    {
        _choices.Add(key.Choice);
        // Some providers send empty pieces of one text between pieces of another.
        if (text.Length == 0) return;
        // Calls of tools may come in turns; what follows them does not.
        await EndAsync(
            key.Choice, other => other != key && other.Channel != Channel.Transcript && (key.Channel != Channel.Tool || other.Channel != Channel.Tool), output, cancellationToken);
        if (IsBlocked) return;
        if (!_channels.TryGetValue(key, out var channel)) _channels[key] = channel = new OutputChannel(policy, KindOf(key));
        Emit(key, await channel.PushAsync(text, cancellationToken), output);
        Judge(key, channel);
        if (!IsBlocked && key.Channel == Channel.Text && channel.IsEmpty) AddNotes(key.Choice, output);
    }

    private async ValueTask EndAsync(
        int choice, Func<ChannelKey, bool> which, EventBatch output, CancellationToken cancellationToken)
    {
        if (_channels.Count == 0) return;
        foreach (var (key, channel) in _channels.Where(open => open.Key.Choice == choice && which(open.Key)).ToArray())
        {
            var rest = await channel.CompleteAsync(cancellationToken);
            if (key.Channel != Channel.Transcript) Emit(key, rest, output);
            else if (channel.HasRedacted) IsBlocked = true;
            Judge(key, channel);
            if (!IsBlocked && key.Channel == Channel.Transcript) AddAudio(choice, output);
            _channels.Remove(key);
            channel.Dispose();
            if (IsBlocked) return;
            if (key.Channel == Channel.Text) AddNotes(choice, output);
        }
    }

    private void Judge(ChannelKey key, OutputChannel channel)
    {
        if (key.Channel == Channel.Text && channel.HasRedacted) _moved.Add(key.Choice);
        if (channel.Block is null) return;
        IsBlocked = true;
        if (key.Channel == Channel.Tool) StoppedCall = (key.Choice, key.Index);
    }

    private static void Emit(ChannelKey key, string text, EventBatch output)
    {
        if (text.Length == 0) return;
        output.Add(key.Channel switch
        {
            Channel.Text => new TextDelta(text) { Choice = key.Choice },
            Channel.Reasoning => new ReasoningDelta(text) { Choice = key.Choice },
            Channel.Refusal => new RefusalDelta(text) { Choice = key.Choice },
            _ => new ToolCallDelta(key.Index, text) { Choice = key.Choice },
        });
    }

    private ChannelKind KindOf(ChannelKey key) => OutputKinds.Of(call, key.Channel,
        key.Channel == Channel.Tool && _tools.TryGetValue((key.Choice, key.Index), out var kind) ? kind : ToolKind.Function);

    private async ValueTask AddSealAsync(ReasoningDelta made, EventBatch output, CancellationToken cancellationToken)
    {
        if (made.Text.Length > 0) await PushAsync(new(made.Choice, Channel.Reasoning), made.Text, output, cancellationToken);
        if (IsBlocked) return;
        await EndAsync(made.Choice, static key => key.Channel == Channel.Reasoning, output, cancellationToken);
        if (!IsBlocked) output.Add(made with { Text = "" });
    }

    // A source of the text: its title and its address are texts of their own.
    private async ValueTask AddNotesAsync(AnnotationsAdded made, EventBatch output, CancellationToken cancellationToken)
    {
        var passed = await CheckAsync(made.Annotations, cancellationToken);
        if (passed is not JsonArray notes) return;
        if (!_notes.TryGetValue(made.Choice, out var waiting)) _notes[made.Choice] = waiting = [];
        waiting.AddRange(notes.Select(note => note?.DeepClone()));
        _choices.Add(made.Choice);
        if (!_channels.TryGetValue(new(made.Choice, Channel.Text), out var text) || text.IsEmpty) AddNotes(made.Choice, output);
    }

    // They follow the text that they are about.
    private void AddNotes(int choice, EventBatch output)
    {
        if (!_notes.Remove(choice, out var notes)) return;
        if (_moved.Contains(choice))
        {
            foreach (var note in notes) Unplace(note);
        }
        output.Add(new AnnotationsAdded([.. notes]) { Choice = choice });
    }

    // A redaction has moved the text: positions in it are wrong.
    private static void Unplace(JsonNode? note)
    {
        if (note is not JsonObject members) return;
        members.Remove("start_index");
        members.Remove("end_index");
        foreach (var (_, inner) in members) Unplace(inner);
    }

    // Sound cannot be redacted: a transcript that is not clean ends it.
    private async ValueTask AddAudioAsync(AudioDelta made, EventBatch output, CancellationToken cancellationToken)
    {
        _choices.Add(made.Choice);
        if (made.Audio["transcript"] is JsonValue value && value.TryGetValue<string>(out var words) && words.Length > 0)
        {
            // One text for all pieces. The sound itself is no text.
            var key = new ChannelKey(made.Choice, Channel.Transcript);
            if (!_channels.TryGetValue(key, out var channel)) _channels[key] = channel = new OutputChannel(policy, ChannelKind.Text);
            await channel.PushAsync(words, cancellationToken);
            if (channel.Block is not null || channel.HasRedacted) IsBlocked = true;
            if (IsBlocked) return;
        }
        _audio.Add(made);
        if (!_channels.TryGetValue(new(made.Choice, Channel.Transcript), out var open) || open.IsEmpty) AddAudio(made.Choice, output);
    }

    private void AddAudio(int choice, EventBatch output)
    {
        foreach (var made in _audio)
        {
            if (made.Choice == choice) output.Add(made);
        }
        _audio.RemoveAll(made => made.Choice == choice);
    }

    private async ValueTask<JsonNode?> CheckAsync(JsonNode node, CancellationToken cancellationToken)
    {
        using var channel = new OutputChannel(policy, ChannelKind.Json);
        var text = node.ToJsonString();
        var passed = await channel.PushAsync(text, cancellationToken) + await channel.CompleteAsync(cancellationToken);
        if (channel.Block is null) return passed == text ? node : JsonNode.Parse(passed);
        IsBlocked = true;
        return null;
    }

    private async ValueTask FinishAsync(ChoiceFinished finished, EventBatch output, CancellationToken cancellationToken)
    {
        _choices.Add(finished.Choice);
        await EndAsync(finished.Choice, static _ => true, output, cancellationToken);
        if (IsBlocked) return;
        _finished.Add(finished.Choice);
        output.Add(finished);
    }

    private void Stop(EventBatch output)
    {
        // A response may be stopped before its first text.
        if (_choices.Count == 0) _choices.Add(0);
        foreach (var choice in _choices)
        {
            call.Answering?.Meter.Finish(FinishReason.ContentFilter, choice);
            if (_finished.Add(choice)) output.Add(new ChoiceFinished(FinishReason.ContentFilter) { Choice = choice });
        }
    }

    // They contain the text once more, and what else the model might have said.
    private void WarnOfLogprobs()
    {
        if (_hasWarned) return;
        _hasWarned = true;
        call.Warn("logprobs_omitted", "A content policy reads the output, so its log probabilities were left out.");
    }

    private readonly record struct ChannelKey(int Choice, Channel Channel, int Index = 0);
}

/// <summary>The kinds of text in an output.</summary>
internal enum Channel
{
    Text,
    Reasoning,
    Refusal,
    Tool,

    /// <summary>What is said in sound.</summary>
    Transcript,
}

/// <summary>How the texts of an output are read.</summary>
internal static class OutputKinds
{
    public static ChannelKind Of(GatewayCall call, Channel channel, ToolKind tool = ToolKind.Function) => channel switch
    {
        Channel.Tool => tool == ToolKind.Custom ? ChannelKind.Text : ChannelKind.Json,
        Channel.Text when call.Facts.Has(RequestFeatures.JsonSchema | RequestFeatures.JsonObject) => ChannelKind.Json,
        _ => ChannelKind.Text,
    };
}
