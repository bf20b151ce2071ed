using System.Text;
using System.Text.Json.Nodes;
using Fairlead.Conversation;
using Fairlead.Generations.Events;

namespace Fairlead.Dialects;

/// <summary>
/// Combines the events of a response into a whole response, for providers that read both with one reader. Not thread-safe.
/// </summary>
internal sealed class OutputBuilder
{
    private readonly SortedDictionary<int, ChoiceBuilder> _choices = [];
    private string? _systemFingerprint;
    private string? _serviceTier;

    public void Add(GenerationEvent generationEvent)
    {
        switch (generationEvent)
        {
            case ResponseStarted started:
                _systemFingerprint = started.SystemFingerprint;
                _serviceTier = started.ServiceTier;
                break;
            case OutputRepaired:
                _choices.Clear();
                break;
            case PartialValue:
            case GenerationRestarted:
            case GenerationWarned:
            case NativeEvent:
            case UsageReported:
            case AttemptFailed:
                break;
            default:
                if (!_choices.TryGetValue(generationEvent.Choice, out var choice))
                {
                    _choices[generationEvent.Choice] = choice = new ChoiceBuilder();
                }
                choice.Add(generationEvent);
                break;
        }
    }

    public ModelResponse Build() =>
        new([.. _choices.Select(c => c.Value.Build(c.Key))]) { SystemFingerprint = _systemFingerprint, ServiceTier = _serviceTier };

    private sealed class ChoiceBuilder
    {
        private readonly List<Part> _parts = [];
        private readonly StringBuilder _text = new();
        private readonly Dictionary<int, int> _calls = [];
        private readonly Dictionary<int, StringBuilder> _arguments = [];
        private Type? _open;
        private string? _signature;
        private List<TokenLogprob>? _logprobs;
        private JsonArray? _annotations;
        private JsonObject? _audio;
        private FinishReason? _finishReason;
        private string? _stopSequence;

        public void Add(GenerationEvent generationEvent)
        {
            switch (generationEvent)
            {
                case TextDelta text:
                    Append(typeof(TextPart), text.Text);
                    if (text.Logprobs is { } logprobs) (_logprobs ??= []).AddRange(logprobs);
                    break;
                case ReasoningDelta { Redacted: { } redacted }:
                    Close();
                    _parts.Add(new ReasoningPart("", null) { Redacted = redacted });
                    break;
                case ReasoningDelta reasoning:
                    Append(typeof(ReasoningPart), reasoning.Text);
                    if (reasoning.Signature is { } signature)
                    {
                        _signature = signature;
                        Close();
                    }
                    break;
                case RefusalDelta refusal:
                    Append(typeof(RefusalPart), refusal.Text);
                    break;
                case ToolCallStarted call:
                    Close();
                    _calls[call.Index] = _parts.Count;
                    _arguments[call.Index] = new StringBuilder();
                    _parts.Add(new ToolCallPart(call.Id, call.Name, "") { Kind = call.Kind, Signature = call.Signature });
                    break;
                case ToolCallDelta delta:
                    if (_arguments.TryGetValue(delta.Index, out var arguments)) arguments.Append(delta.Arguments);
                    break;
                case AnnotationsAdded annotations:
                    _annotations ??= [];
                    foreach (var annotation in annotations.Annotations) _annotations.Add(annotation?.DeepClone());
                    break;
                case AudioDelta audio:
                    _audio = audio.Audio;
                    break;
                case ChoiceFinished finished:
                    _finishReason = finished.Reason;
                    _stopSequence = finished.StopSequence;
                    break;
            }
        }

        public OutputChoice Build(int index)
        {
            Close();
            foreach (var (call, at) in _calls) _parts[at] = ((ToolCallPart)_parts[at]) with { Arguments = _arguments[call].ToString() };
            return new OutputChoice(index, _parts, _finishReason)
            {
                StopSequence = _stopSequence,
                Logprobs = _logprobs,
                Annotations = _annotations,
                Audio = _audio,
            };
        }

        private void Append(Type kind, string text)
        {
            if (_open != kind) Close();
            _open = kind;
            _text.Append(text);
        }

        private void Close()
        {
            if (_open is null) return;
            var text = _text.ToString();
            if (_open == typeof(ReasoningPart))
            {
                if (text.Length > 0 || _signature is not null) _parts.Add(new ReasoningPart(text, _signature));
            }
            else if (text.Length > 0)
            {
                _parts.Add(_open == typeof(TextPart) ? new TextPart(text) : new RefusalPart(text));
            }
            _text.Clear();
            _open = null;
            _signature = null;
        }
    }
}
