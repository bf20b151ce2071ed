using System.Buffers;
using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Providers.Anthropic;

/// <summary>
/// Writes a conversation as a Messages request. What the API does not support is rejected if the response depends on it; otherwise it
/// is left out with a warning.
/// </summary>
internal static class AnthropicTranslator
{
    private const string JsonInstruction =
        "Answer with one valid JSON object and nothing else: no explanation before or after it, no code fence.";

    private static readonly JsonWriterOptions WriterOptions =
        new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>Writes the body and returns the version that it needs.</summary>
    /// <exception cref="GatewayErrorException">Something in the request cannot be translated.</exception>
    public static string Write(GatewayCall call, string upstreamModel, IBufferWriter<byte> output) =>
        Write(call, call.Conversation, upstreamModel, output);

    /// <param name="call">The call.</param>
    /// <param name="conversation">Its request, with tools in Anthropic's form.</param>
    /// <param name="upstreamModel">The model's name at the provider.</param>
    /// <param name="output">Receives the body.</param>
    public static string Write(GatewayCall call, ConversationRequest conversation, string upstreamModel, IBufferWriter<byte> output)
    {
        var request = new AnthropicRequest(call, conversation, upstreamModel);
        RefuseWhatIsMissing(request);
        using var json = new Utf8JsonWriter(output, WriterOptions);
        json.WriteStartObject();
        json.WriteString("model", upstreamModel);
        json.WriteNumber("max_tokens", request.MaxTokens);
        AnthropicTurnWriter.Write(json, request, request.Conversation.OutputFormat is { Kind: OutputKind.Json } ? JsonInstruction : null);
        AnthropicToolWriter.Write(json, request);
        var thinks = AnthropicThinkingWriter.Write(json, request);
        var sampled = WriteSampling(json, request, thinks);
        WriteStops(json, request);
        if (request.Conversation.EndUser is { Length: > 0 } user)
        {
            if (user.Length <= 256)
            {
                json.WriteStartObject("metadata");
                json.WriteString("user_id", user);
                json.WriteEndObject();
            }
            else
            {
                request.Ignored("user", "the model's provider accepts at most 256 characters.");
            }
        }
        if (call.Streams && call.Operation == Operation.Chat) json.WriteBoolean("stream", true);
        json.WriteEndObject();
        return sampled ? AnthropicVersions.Original : AnthropicVersions.October2026;
    }

    private static void RefuseWhatIsMissing(AnthropicRequest request)
    {
        var conversation = request.Conversation;
        var sampling = conversation.Sampling;
        if (conversation.ChoiceCount > 1) throw Unsupported("n", "returns one choice per request; n must be 1");
        if (sampling.Logprobs || sampling.TopLogprobs > 0) throw Unsupported("logprobs", "does not report log probabilities");
        if (sampling.LogitBias is { Count: > 0 }) throw Unsupported("logit_bias", "does not accept logit_bias");
        // A seed never guarantees the same output, so a response without it is a possible response with it.
        if (sampling.Seed is not null) request.Ignored("seed", "the model's provider does not support it.");
        if (sampling.FrequencyPenalty is not (null or 0)) throw Unsupported("frequency_penalty", "does not accept penalties");
        if (sampling.PresencePenalty is not (null or 0)) throw Unsupported("presence_penalty", "does not accept penalties");
        if (conversation.Audio is not null) throw Unsupported("modalities", "does not generate audio");
        if (conversation.Verbosity is not (null or "medium")) request.Ignored("verbosity", "the model's provider has no such setting.");
        if (conversation.Metadata is { Count: > 0 }) request.Ignored("metadata", "the model's provider does not store metadata.");
        ExtraFields.Omit(conversation, name => request.Ignored(name, "the model's provider has no such setting."));
    }

    // Whether sampling parameters were written, which determines the version.
    private static bool WriteSampling(Utf8JsonWriter json, AnthropicRequest request, bool thinks)
    {
        var sampling = request.Conversation.Sampling;
        var (temperature, topP, topK) = (sampling.Temperature, sampling.TopP, sampling.TopK);
        if (request.Generation.RefusesSampling || !request.Model.Capabilities.Sampling || thinks)
        {
            var why = thinks ? "it cannot be set while the model thinks." : "this model does not accept it.";
            if (temperature is not (null or 1)) request.Ignored("temperature", why);
            if (topP is not (null or 1)) request.Ignored("top_p", why);
            if (topK is not null) request.Ignored("top_k", why);
            return false;
        }
        if (temperature is not null && topP is not null && request.Generation.TakesOneOfTemperatureAndTopP)
        {
            if (topP != 1) request.Ignored("top_p", "this model accepts temperature or top_p, not both.");
            topP = null;
        }
        if (temperature > 1)
        {
            request.Call.Warn("parameter_clamped", "'temperature' was lowered to 1, the highest value of this model's provider.");
            temperature = 1;
        }
        if (temperature is { } t) json.WriteNumber("temperature", t);
        if (topP is { } p) json.WriteNumber("top_p", p);
        if (topK is { } k) json.WriteNumber("top_k", k);
        return temperature is not null || topP is not null || topK is not null;
    }

    private static void WriteStops(Utf8JsonWriter json, AnthropicRequest request)
    {
        var stops = request.Conversation.Sampling.Stop;
        if (stops.Count == 0) return;
        json.WriteStartArray("stop_sequences");
        foreach (var stop in stops)
        {
            if (string.IsNullOrWhiteSpace(stop))
            {
                throw Unsupported("stop", "does not accept stop sequences that are empty or white space only");
            }
            json.WriteStringValue(stop);
        }
        json.WriteEndArray();
    }

    internal static GatewayErrorException Unsupported(string field, string what) =>
        new(GatewayError.Unsupported(field, $"The provider of this model {what}."));
}
