using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Pipeline;

namespace Fairlead.TokenCounting;

/// <summary>
/// Counts the input tokens of a call, and the output tokens of a truncated response. Exact for the o200k and cl100k families; for others an
/// estimate that is corrected by what providers report. Every method takes time proportional to the text. Thread-safe.
/// </summary>
internal sealed class TokenCounter
{
    /// <summary>
    /// Characters of one call that are counted individually, at 0.04 to 0.3 µs each. Text beyond them is sampled, and beyond that
    /// estimated, so that no call occupies a thread for more than about a third of a second.
    /// </summary>
    internal const int MaxExactChars = 1_000_000;

    // OpenAI's published recipe: 3 around each message and 1 for the name of the role, 3 for the start of the reply.
    private const int PerMessage = 4;
    private const int PerReply = 3;
    private const int PerTool = 8;
    private const int PerToolCall = 6;

    private const int SampleChars = 2048;
    private const int Samples = 64;
    private const double BytesPerToken = 4;

    // Share of a response that one kind of text must have before the factor of that kind is learned from it.
    private const double MainShare = 0.8;

    // Share of the delivered bytes that a kept text must have to represent all.
    private const double KeptShare = 0.9;

    private readonly Calibration _input = new();
    private readonly Calibration _prose = new();
    private readonly Calibration _code = new();
    private readonly Calibration _otherScripts = new();

    /// <summary>
    /// An upper limit of the input tokens without examining the text: a token has at least one byte. If this fits, nothing
    /// needs to be counted.
    /// </summary>
    public static long Bound(GatewayCall call)
    {
        var facts = call.Facts;
        return facts.TextBytes
            + facts.InputTokenIds
            + facts.MediaBytes
            + ((long)facts.ImageCount * MediaTokens.MaxPerImage)
            + ((long)(PerMessage + 4) * Math.Max(1, facts.MessageCount))
            + (facts.Has(RequestFeatures.Tools) ? 64 : 0)
            + PerReply;
    }

    /// <summary>Tokens of the whole input: messages, tools, schema, media and framing.</summary>
    /// <exception cref="Errors.GatewayErrorException">The request cannot be expressed in the inner language.</exception>
    public TokenEstimate CountInput(GatewayCall call) =>
        call.Operation == Operation.Embeddings ? CountEmbeddings(call.Embeddings, call.Model)
            // Moderation models have no public vocabulary.
            : call.Operation == Operation.Moderation ? GuessInput(call)
            : CountConversation(call.Conversation, call.Model, framed: call.Dialect.HasMessages, call.Facts.InputTokenIds);

    // The request was passed on unchanged (several prompts, a suffix), but its ending must still be settled.
    private TokenEstimate GuessInput(GatewayCall call)
    {
        var facts = call.Facts;
        var text = Guess(facts.TextBytes, call.Model) * _input.FactorFor(call.Model.Id, call.Model.TokenizerName);
        var framing = (long)PerMessage * Math.Max(1, facts.MessageCount);
        return new TokenEstimate((long)Math.Ceiling(text) + facts.InputTokenIds + framing
            + ((long)facts.ImageCount * MediaTokens.MaxPerImage), Basis.Estimated);
    }

    /// <summary>False if the request has a meaning only in its own dialect, so that its texts cannot be separated.</summary>
    public bool TryCountInput(GatewayCall call, out TokenEstimate counted)
    {
        try
        {
            counted = CountInput(call);
            return true;
        }
        catch (Errors.GatewayErrorException)
        {
            counted = default;
            return false;
        }
    }

    /// <summary>
    /// The count, or without one an estimate from the sizes that the first pass over the body found. Never throws for what a client sent.
    /// </summary>
    public TokenEstimate CountOrGuess(GatewayCall call) => TryCountInput(call, out var counted) ? counted : GuessInput(call);

    /// <summary>Input tokens by rule of thumb, without examining any text.</summary>
    public static TokenEstimate Guess(RequestFacts facts) =>
        new((facts.TextBytes / 4) + (4L * facts.MessageCount) + (765L * facts.ImageCount) + (facts.MediaBytes / 64) + facts.InputTokenIds
            + 3, Basis.Estimated);

    /// <summary>Tokens of a conversation for a model.</summary>
    /// <param name="conversation">The request.</param>
    /// <param name="model">The model whose vocabulary counts.</param>
    /// <param name="framed">Whether messages are framed as chat models see them; a bare prompt is not.</param>
    /// <param name="tokenIds">Already tokenised input.</param>
    public TokenEstimate CountConversation(ConversationRequest conversation, CatalogueModel model, bool framed = true, int tokenIds = 0)
    {
        var tally = new Tally(model);
        foreach (var message in conversation.Messages)
        {
            if (framed) tally.Fixed += PerMessage;
            if (message.Name is { } name)
            {
                tally.Add(name);
                tally.Fixed++;
            }
            foreach (var part in message.Parts) Add(ref tally, part);
        }
        foreach (var tool in conversation.Tools)
        {
            tally.Guess(PerTool);
            tally.Add(tool.Name);
            tally.Add(tool.Description);
            if (tool.Parameters is { } parameters) tally.Add(parameters.ToJsonString());
            if (tool.Format is { } format) tally.Add(format.ToJsonString());
        }
        if (conversation.OutputFormat.Schema is { } schema)
        {
            tally.Guess(PerTool);
            tally.Add(schema.ToJsonString());
        }
        tally.Fixed += tokenIds + (framed ? PerReply : 0);
        return Result(tally, model);
    }

    public TokenEstimate CountEmbeddings(EmbeddingsRequest request, CatalogueModel model)
    {
        var tally = new Tally(model);
        foreach (var input in request.Inputs)
        {
            if (input.Tokens is { } tokens) tally.Fixed += tokens.Count;
            else tally.Add(input.Text);
        }
        return Result(tally, model);
    }

    /// <summary>Tokens of a text alone, without framing.</summary>
    public TokenEstimate CountText(ReadOnlySpan<char> text, CatalogueModel model)
    {
        var tally = new Tally(model);
        tally.Add(text);
        return Result(tally, model);
    }

    /// <summary>
    /// Learns from what a provider reported for an input that <see cref="CountInput"/> had estimated at <paramref name="estimated"/>.
    /// </summary>
    public void Observe(CatalogueModel model, long estimated, long reported)
    {
        // Short inputs are mostly framing, which is not representative of the text.
        if (model.Tokenizer != TokenizerFamily.Estimated || estimated < 32 || reported <= 0) return;
        // The estimate already contains the factor that was known then.
        _input.Learn(model.Id, model.TokenizerName, _input.FactorFor(model.Id, model.TokenizerName) * reported / estimated);
    }

    /// <summary>Learns from the output tokens of a finished response. No effect if they are not representative of its text.</summary>
    /// <param name="meter">The response.</param>
    /// <param name="usage">Its usage, as far as it is plausible.</param>
    /// <param name="model">Its model.</param>
    public void ObserveOutput(OutputMeter meter, in Usage usage, CatalogueModel model)
    {
        // Hidden reasoning has tokens but no bytes, so such a response is not representative.
        if (usage is not { Basis: Basis.Measured, ReasoningTokens: 0, AudioOutputTokens: 0 } || usage.OutputTokens < 16
            || meter.OutputBytes < 32)
        {
            return;
        }

        var output = meter.Output;
        // A mixture is not representative of its parts.
        var learning = Mostly(output.Prose) ? _prose : Mostly(output.Code) ? _code : Mostly(output.OtherScripts) ? _otherScripts : null;
        learning?.Learn(model.Id, model.TokenizerName, usage.OutputTokens / Tokens(output.Total, model));

        bool Mostly(long weight) => weight > MainShare * output.Total;
    }

    /// <summary>
    /// Output tokens of a response that the provider did not count: by the vocabulary where it is known and the text is still available,
    /// else by the kinds of text. At least 1 when there was content.
    /// </summary>
    public long EstimateOutput(OutputMeter meter, CatalogueModel model)
    {
        var least = meter.HasContent ? 1 : 0;
        if (model.Tokenizer != TokenizerFamily.Estimated && meter.Kept is { } kept
            && CountKept(kept, meter.OutputBytes, model) is { } counted)
        {
            return Math.Max(counted, least);
        }

        var output = meter.Output;
        var tokens = Part(output.Prose, _prose) + Part(output.Code, _code) + Part(output.OtherScripts, _otherScripts);
        return Math.Max((long)Math.Ceiling(tokens), least);

        double Part(long weight, Calibration learned) => weight == 0 ? 0
            : Tokens(weight, model) * learned.FactorFor(model.Id, model.TokenizerName);
    }

    // Null when less was kept than delivered.
    private static long? CountKept(object kept, long deliveredBytes, CatalogueModel model)
    {
        var tally = new Tally(model);
        long bytes = 0;
        if (kept is string text)
        {
            bytes = System.Text.Encoding.UTF8.GetByteCount(text);
            tally.Add(text);
        }
        foreach (var choice in (kept as ModelResponse)?.Choices ?? [])
        {
            foreach (var part in choice.Parts)
            {
                bytes += BytesOf(part);
                Add(ref tally, part);
            }
        }
        return bytes >= KeptShare * deliveredBytes ? (long)Math.Ceiling(tally.Text) + tally.Fixed : null;
    }

    private static int BytesOf(Part part) => part switch
    {
        TextPart text => System.Text.Encoding.UTF8.GetByteCount(text.Text),
        ReasoningPart reasoning => System.Text.Encoding.UTF8.GetByteCount(reasoning.Text),
        RefusalPart refusal => System.Text.Encoding.UTF8.GetByteCount(refusal.Text),
        ToolCallPart call => call.Name.Length + System.Text.Encoding.UTF8.GetByteCount(call.Arguments),
        _ => 0,
    };

    private static double Tokens(long weight, CatalogueModel model) => weight / 100.0 * TextHeuristics.DensityOf(model.TokenizerName);

    private static double Guess(long bytes, CatalogueModel model) => bytes / BytesPerToken * TextHeuristics.DensityOf(model.TokenizerName);

    private static void Add(ref Tally tally, Part part)
    {
        switch (part)
        {
            case TextPart text: tally.Add(text.Text); break;
            case RefusalPart refusal: tally.Add(refusal.Text); break;
            case ReasoningPart reasoning:
                tally.Add(reasoning.Text);
                // A sealed block is about as long as the reasoning inside, in base64.
                if (reasoning.Redacted is { } sealedText) tally.Guess(sealedText.Length / 6);
                break;
            case ToolCallPart call:
                tally.Guess(PerToolCall);
                tally.Add(call.Name);
                tally.Add(call.Arguments);
                break;
            case ToolResultPart result:
                tally.Guess(2);
                foreach (var content in result.Content) Add(ref tally, content);
                break;
            case ImagePart image: tally.Guess(MediaTokens.OfImage(image, tally.Model.TokenizerName)); break;
            case AudioPart audio: tally.Guess(MediaTokens.OfAudio(audio)); break;
            case FilePart file:
                tally.Add(file.Title);
                tally.Add(file.Context);
                if (file.Text is { } plain) tally.Add(plain);
                else if (file.MediaType?.StartsWith("text/", StringComparison.Ordinal) == true && file.Data is { } data)
                    tally.Guess((int)(data.Length * 3L / 16));
                else tally.Guess(MediaTokens.OfDocument(file));
                break;
        }
    }

    private TokenEstimate Result(in Tally tally, CatalogueModel model)
    {
        if (model.Tokenizer != TokenizerFamily.Estimated)
            return new((long)Math.Ceiling(tally.Text) + tally.Fixed, tally.Exact ? Basis.Measured : Basis.Estimated);
        var factor = TextHeuristics.DensityOf(model.TokenizerName) * _input.FactorFor(model.Id, model.TokenizerName);
        return new((long)Math.Ceiling(tally.Text * factor) + tally.Fixed, Basis.Estimated);
    }

    private struct Tally(CatalogueModel model)
    {
        private readonly Vocabulary? _vocabulary = model.Tokenizer switch
        {
            TokenizerFamily.O200k => Vocabulary.O200k,
            TokenizerFamily.Cl100k => Vocabulary.Cl100k,
            _ => null,
        };

        private int _left = MaxExactChars;

        public CatalogueModel Model { get; } = model;

        /// <summary>Tokens of texts.</summary>
        public double Text { get; private set; }

        /// <summary>Tokens that no factor applies to.</summary>
        public long Fixed { get; set; }

        public bool Exact { get; private set; } = model.Tokenizer != TokenizerFamily.Estimated;

        public void Guess(int tokens)
        {
            Fixed += tokens;
            Exact = false;
        }

        public void Add(string? text) => Add(text.AsSpan());

        public void Add(ReadOnlySpan<char> text)
        {
            if (text.IsEmpty) return;
            if (_vocabulary is null)
            {
                // A nanosecond per character, so no limit is needed.
                Text += TextHeuristics.Weigh(text);
                return;
            }
            Exact &= _left >= text.Length;
            if (_left <= 0)
            {
                Text += TextHeuristics.Weigh(text) * 1.1;
                return;
            }
            var counted = text.Length > _left ? Math.Min(text.Length, SampleChars * Samples) : text.Length;
            _left -= counted;
            if (counted < text.Length)
            {
                Text += Sampled(text);
                return;
            }
            Text += _vocabulary.Count(text, out var exact);
            Exact &= exact;
        }

        // Slices from all over the text, so that a change of language or format inside it has its share.
        private readonly double Sampled(ReadOnlySpan<char> text)
        {
            var step = text.Length / Samples;
            var counted = 0;
            for (var i = 0; i < Samples; i++) counted += _vocabulary!.Count(text.Slice(i * step, SampleChars), out _);
            return (double)counted / (SampleChars * Samples) * text.Length;
        }
    }
}
