using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Pipeline;

namespace Fairlead.Validation;

/// <summary>
/// Whether a model can do what a request asks for. Pure; returns the first conflict with the field, the reason and the remedy.
/// </summary>
internal static class CapabilityRules
{
    public static GatewayError? Check(Operation operation, RequestFacts facts, CatalogueModel model)
    {
        if (operation == Operation.Embeddings)
        {
            if (model.Kind == ModelKind.Embedding)
            {
                return facts.Dimensions is null || model.Capabilities.Dimensions || facts.Dimensions == model.EmbeddingDimensions
                    ? null
                    : GatewayError.Unsupported("dimensions",
                        $"The vectors of `{model.Id}` have a fixed length"
                        + $"{(model.EmbeddingDimensions is { } length ? $" of {length}" : "")}.");
            }
            return GatewayError.Invalid("model", $"The model `{model.Id}` does not create embeddings.") with
            {
                Remedy = "Choose an embedding model from GET /v1/models, or send this model a conversation.",
            };
        }
        if (model.Kind == ModelKind.Embedding)
        {
            return GatewayError.Invalid("model", $"The model `{model.Id}` creates embeddings and does not support conversations.") with
            {
                Remedy = "Send it to /v1/embeddings, or choose a chat model from GET /v1/models.",
            };
        }

        if (facts.Has(RequestFeatures.Images) && !model.InputModalities.Contains("image"))
            return Incompatible(facts, model, RequestFeatures.Images, "images");
        if (facts.Has(RequestFeatures.Audio) && !model.InputModalities.Contains("audio"))
            return Incompatible(facts, model, RequestFeatures.Audio, "audio");
        // Some providers send a document's text to a text model, but not its file.
        if (facts.Has(RequestFeatures.PdfFiles) && !model.InputModalities.Contains("pdf") && !model.InputModalities.Contains("file")
            && !model.InputModalities.Contains("image"))
        {
            return Incompatible(facts, model, RequestFeatures.PdfFiles, "PDF files");
        }

        if (facts.Has(RequestFeatures.AudioOutput) && !model.OutputModalities.Contains("audio"))
        {
            return Unsupported(facts, RequestFeatures.AudioOutput, "modalities",
                $"The model `{model.Id}` does not produce audio; it produces {string.Join(", ", model.OutputModalities)}.");
        }

        var task = facts.Extension.Task ?? model.Task;
        if (task == "code" && facts.Has(RequestFeatures.Images) && !facts.Has(RequestFeatures.UserText))
        {
            return new GatewayError(ErrorCode.IncompatibleInput, "A request with the task `code` needs text, but it contains only images.")
            {
                Parameter = PathOf(facts, RequestFeatures.Images, "messages"),
                Remedy = "Describe the code in a text part, or leave out the task `code`.",
            };
        }

        var can = model.Capabilities;
        if (facts.Has(RequestFeatures.Tools) && !can.Tools)
            return Unsupported(facts, RequestFeatures.Tools, "tools", $"The model `{model.Id}` cannot call tools.");
        if (facts.Has(RequestFeatures.JsonSchema) && !can.JsonSchema)
        {
            return Unsupported(facts, RequestFeatures.JsonSchema, "response_format",
                $"The model `{model.Id}` does not support JSON Schema output.");
        }

        if (facts.Has(RequestFeatures.Logprobs) && !can.Logprobs)
            return Unsupported(facts, RequestFeatures.Logprobs, "logprobs", $"The model `{model.Id}` does not report log probabilities.");
        // Others treat a final assistant turn as history and respond after it; Anthropic's newer models refuse it.
        if (facts.Has(RequestFeatures.Prefill) && !can.Prefill && model.OwnedBy == "anthropic")
        {
            return Unsupported(facts, RequestFeatures.Prefill, "messages",
                $"The model `{model.Id}` does not continue an assistant message; the last message must be the user's or a tool's.");
        }

        if (facts.ChoiceCount > 1 && !can.MultipleChoices)
            return GatewayError.Unsupported("n", $"The model `{model.Id}` returns one choice per request; n must be 1.");

        if (facts.Has(RequestFeatures.ReasoningEffort))
        {
            // "none" requests what a model without reasoning does anyway.
            if (!can.Reasoning && facts.ReasoningEffort is not (null or "none"))
            {
                return Unsupported(facts, RequestFeatures.ReasoningEffort, "reasoning_effort",
                    $"The model `{model.Id}` does not support reasoning.");
            }

            if (can.Reasoning && can.ReasoningEfforts.Count > 0 && facts.ReasoningEffort is { } effort
                && !can.ReasoningEfforts.Contains(effort))
            {
                return Unsupported(facts, RequestFeatures.ReasoningEffort, "reasoning_effort",
                    $"The model `{model.Id}` accepts the efforts {string.Join(", ", can.ReasoningEfforts)}, not `{effort}`.");
            }
        }

        if (!can.Sampling && !(facts.ReasoningEffort is "none" && can.SamplingWithoutReasoning))
        {
            // The default value is what the model does anyway; clients send it without intent.
            var unless = can.SamplingWithoutReasoning ? " unless reasoning_effort is none" : "";
            if (facts.Temperature is { } temperature && temperature != 1)
                return GatewayError.Unsupported("temperature", $"The model `{model.Id}` does not accept a temperature{unless}.");
            if (facts.TopP is { } topP && topP != 1)
                return GatewayError.Unsupported("top_p", $"The model `{model.Id}` does not accept top_p{unless}.");
        }

        if (facts.MaxOutputTokens is { } cap && model.MaxOutputTokens is { } most && cap > most)
        {
            return GatewayError.Invalid(facts.MaxOutputTokensField,
                $"{facts.MaxOutputTokensField} is {cap}, but the model `{model.Id}` produces at most {most} tokens.") with
            {
                OpenAiCode = "integer_above_max_value",
            };
        }
        return null;
    }

    private static GatewayError Incompatible(RequestFacts facts, CatalogueModel model, RequestFeatures feature, string what) =>
        new(ErrorCode.IncompatibleInput,
            $"The model `{model.Id}` does not accept {what}; it accepts "
            + $"{string.Join(", ", model.InputModalities.Order(StringComparer.Ordinal))}.")
        {
            Parameter = PathOf(facts, feature, "messages"),
        };

    private static GatewayError Unsupported(RequestFacts facts, RequestFeatures feature, string field, string message) =>
        GatewayError.Unsupported(PathOf(facts, feature, field), message);

    private static string PathOf(RequestFacts facts, RequestFeatures feature, string otherwise) =>
        facts.Paths.GetValueOrDefault(feature, otherwise);
}
