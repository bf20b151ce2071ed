using System.Text.Json;
using Fairlead.Conversation;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Dialects.OpenAiCompletions;

/// <summary>
/// Converts a text completion to a conversation of one turn, for models that only converse. Other fields are rejected.
/// </summary>
internal static class CompletionsConversationReader
{
    /// <summary>This endpoint's usual limit when none is sent.</summary>
    private const int DefaultMaxTokens = 16;

    private static readonly HashSet<string> Taken = new(StringComparer.Ordinal)
    {
        "model", "prompt", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "n", "stop", "seed", "logit_bias",
        "stream", "stream_options", "user", "fairlead", "suffix", "echo", "best_of", "logprobs",
    };

    /// <exception cref="GatewayErrorException">The request needs a model that completes text.</exception>
    public static ConversationRequest Read(GatewayCall call)
    {
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(call.Body.WrittenMemory,
                new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 1024 });
        }
        catch (JsonException)
        {
            throw new GatewayErrorException(new GatewayError(ErrorCode.InvalidParameter,
                "An object of the body contains the same member twice; send it once.") { OpenAiCode = "invalid_value" });
        }
        using (document)
        {
            var root = document.RootElement;
            if (ChatConversationReader.Has(root, "suffix", out _)) throw Unsupported("suffix");
            if (ChatConversationReader.Has(root, "echo", out var echo) && echo.GetBoolean()) throw Unsupported("echo");
            if (ChatConversationReader.Has(root, "best_of", out var bestOf) && bestOf.GetInt64() > 1) throw Unsupported("best_of");
            if (ChatConversationReader.Has(root, "logprobs", out _)) throw Unsupported("logprobs");
            var facts = call.Facts;
            return new ConversationRequest
            {
                Messages = [Message.Of(Role.User, Prompt(root.GetProperty("prompt")))],
                Sampling = ChatConversationReader.Sampling(root, facts),
                MaxOutputTokens = facts.MaxOutputTokens ?? DefaultMaxTokens,
                ChoiceCount = facts.ChoiceCount,
                EndUser = ChatConversationReader.Text(root, "user"),
                Extra = ChatConversationReader.Extra(root, Taken),
            };
        }
    }

    private static string Prompt(JsonElement prompt)
    {
        if (prompt.ValueKind == JsonValueKind.String) return prompt.GetString()!;
        if (prompt[0].ValueKind != JsonValueKind.String) throw Unsupported("prompt", "Token arrays");
        return prompt.GetArrayLength() == 1 ? prompt[0].GetString()! : throw Unsupported("prompt", "Several prompts in one request");
    }

    private static GatewayErrorException Unsupported(string parameter, string? what = null) => new(GatewayError.Unsupported(
        parameter,
        $"{what ?? $"'{parameter}'"} cannot be used: the model only accepts conversations. Send one text as 'prompt', or use POST "
            + "/v1/chat/completions."));
}
