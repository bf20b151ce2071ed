using Fairlead.Conversation;

namespace Fairlead.Streaming.Verification;

/// <summary>
/// What a stream has sent, as length and hash of each choice, so that another run can be compared with it. Keeps no text. Written by the
/// reader of the stream; not thread-safe.
/// </summary>
internal sealed class OutputDigest
{
    private readonly ChoiceDigest _first = new();
    private List<(int Choice, ChoiceDigest Digest)>? _others;
    private List<SentItem>? _items;
    private bool _hasFirst;

    /// <summary>The text itself, for a model that can continue it; null where none can.</summary>
    public KeptText? Kept { get; init; }

    /// <summary>False once something was sent that another run cannot be compared with, such as audio or a sealed block.</summary>
    public bool IsComparable { get; private set; } = true;

    /// <summary>Whether something was sent that a comparison sees.</summary>
    public bool HasOutput => _hasFirst || _others is not null;

    /// <summary>The id that the provider gave its response, where its events repeat it; null otherwise.</summary>
    public string? ResponseId { get; set; }

    /// <summary>The creation time that its events repeat, in seconds of Unix time.</summary>
    public long? CreatedAt { get; set; }

    /// <summary>The items of the response that have ids of their own, in their order.</summary>
    public IReadOnlyList<SentItem> Items => _items ?? (IReadOnlyList<SentItem>)[];

    /// <summary>The choices with output.</summary>
    public IEnumerable<int> Choices =>
        (_hasFirst ? (IEnumerable<int>)[0] : []).Concat((_others ?? []).Select(static other => other.Choice));

    /// <summary>UTF-16 units of all choices.</summary>
    public long TextLength => Choices.Sum(choice => Find(choice)!.TextLength);

    /// <summary>The digest of a choice; null if nothing of it was sent.</summary>
    public ChoiceDigest? Find(int choice)
    {
        if (choice == 0) return _hasFirst ? _first : null;
        foreach (var other in _others ?? [])
        {
            if (other.Choice == choice) return other.Digest;
        }
        return null;
    }

    /// <summary>The digest of a choice, which starts with this if it is new.</summary>
    public ChoiceDigest Of(int choice)
    {
        if (choice == 0)
        {
            _hasFirst = true;
            return _first;
        }
        if (Find(choice) is { } known) return known;
        var made = new ChoiceDigest();
        (_others ??= []).Add((choice, made));
        return made;
    }

    /// <summary>Notes that something was sent that cannot be compared.</summary>
    public void Exclude()
    {
        IsComparable = false;
        Kept?.Drop();
    }

    /// <summary>Notes an item with ids.</summary>
    public void AddItem(SentItem item) => (_items ??= []).Add(item);

    /// <summary>After this run has reproduced another one: the client knows the ids of that one.</summary>
    public void TakeIds(OutputDigest sent)
    {
        (ResponseId, CreatedAt) = (sent.ResponseId ?? ResponseId, sent.CreatedAt ?? CreatedAt);
        for (var i = 0; i < sent.Items.Count && i < _items?.Count; i++) _items[i] = sent.Items[i];
    }

    /// <summary>Adds an event of the inner language.</summary>
    public void Observe(GenerationEvent generationEvent)
    {
        var choice = generationEvent.Choice;
        switch (generationEvent)
        {
            case TextDelta { Text.Length: > 0 } text: Add(choice, DigestPart.Text, 0, text.Text); break;
            case RefusalDelta { Text.Length: > 0 } refusal: Add(choice, DigestPart.Refusal, 0, refusal.Text); break;
            case ReasoningDelta { Redacted: not null } or AnnotationsAdded or AudioDelta: Exclude(); break;
            case ReasoningDelta reasoning:
                if (reasoning.Text.Length > 0) Add(choice, DigestPart.Reasoning, 0, reasoning.Text);
                Kept?.Drop();
                if (reasoning.Signature is { Length: > 0 }) Of(choice).Mark(DigestPart.Signature);
                break;
            case ToolCallStarted started: Add(choice, DigestPart.ToolCall, started.Index, started.Name); break;
            case ToolCallDelta { Arguments.Length: > 0 } delta: Add(choice, DigestPart.ToolArguments, delta.Index, delta.Arguments); break;
            case ChoiceFinished finished: Of(choice).Enter(DigestPart.Finish, (int)finished.Reason); break;
        }
    }

    private void Add(int choice, DigestPart part, int index, string text)
    {
        var digest = Of(choice);
        digest.Enter(part, index);
        digest.Add(text);
        if (part == DigestPart.Text && choice == 0) Kept?.Add(text);
        else Kept?.Drop();
    }

    /// <summary>Adds a piece of output from an event that is forwarded.</summary>
    /// <param name="choice">The alternative that it belongs to.</param>
    /// <param name="part">What it is part of.</param>
    /// <param name="index">The tool call that it belongs to.</param>
    /// <param name="json">The inside of its JSON string.</param>
    public void AddJson(int choice, DigestPart part, int index, ReadOnlySpan<byte> json)
    {
        var digest = Of(choice);
        digest.Enter(part, index);
        digest.AddJson(json);
        if (Kept is null) return;
        if (part == DigestPart.Text && choice == 0) Kept.AddJson(json);
        else Kept.Drop();
    }
}

/// <summary>The ids of one item of a response.</summary>
/// <param name="Id">Its own.</param>
/// <param name="CallId">The one that the result of a tool refers to; null where it has none.</param>
internal sealed record SentItem(string? Id, string? CallId);
