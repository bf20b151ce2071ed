using Fairlead.Errors;

namespace Fairlead.FunctionalTests.Errors;

/// <summary>
/// Which codes a door cannot give, and why. Whatever is not listed here must be provoked there: a code that could come but is not tested fails the suite.
/// </summary>
internal static class Absences
{
    public static string? Of(ErrorCode code, Door door) => code switch
    {
        ErrorCode.Conflict => door == Door.Admin ? null : "Only the administration changes things that stay.",
        ErrorCode.NotFound => door == Door.Models || door == Door.AnthropicModels ? "Whatever stands behind /v1/models/ is a model's name, so model_not_found says it." : null,
        ErrorCode.IncompatibleInput => door.Converses ? null : "It takes no images, audio or files.",
        ErrorCode.ModelNotFound => door == Door.Admin ? "A key may name models that do not exist yet; it gets a warning." : null,
        ErrorCode.InvalidParameter => door == Door.Models ? "OpenAI's list of models takes no parameters." : null,

        ErrorCode.MalformedJson or ErrorCode.MissingParameter or ErrorCode.UnsupportedParameter or ErrorCode.PayloadTooLarge or ErrorCode.UnsupportedMediaType
            => door.Generates || door == Door.Admin ? null : "It is only read: there is no body, and every parameter is optional.",

        ErrorCode.ContextLengthExceeded when door == Door.CountTokens => "It counts what would not fit, too.",
        ErrorCode.ContextLengthExceeded or ErrorCode.ModelRetired or ErrorCode.ModelNotAllowed or ErrorCode.ClassNotAllowed
            => door.Generates ? null : "No model is called. Lists leave out what is retired or not allowed.",

        ErrorCode.RateLimitExceeded or ErrorCode.DeadlineExceeded or ErrorCode.ProviderError or ErrorCode.ProviderUnavailable
            or ErrorCode.ProviderTimeout or ErrorCode.ProviderRejected
            => door.Generates ? null : "No provider is asked.",

        ErrorCode.IdempotencyInProgress or ErrorCode.IdempotencyConflict
            => door.Generates && door != Door.CountTokens ? null : "Nothing is generated that a repeated request could meet.",

        ErrorCode.ContentBlocked => door.Generates ? null : "No content is sent to a model.",
        ErrorCode.NotCached => door.Generates && door != Door.CountTokens ? null : "Nothing is generated that could be kept.",
        ErrorCode.ResultExpired => door == Door.V2 ? null : "Only /result and /events below a generation give it; AuditedGenerationTests asks them.",
        ErrorCode.BudgetExceeded => door.Generates && door != Door.CountTokens ? null : "Nothing is paid for.",
        ErrorCode.QueueFull => door.Generates && door != Door.CountTokens ? null : "Nothing waits in a queue for it.",
        ErrorCode.Overloaded => door.Generates ? null : "It holds little, and takes no large bodies.",
        ErrorCode.ShuttingDown => door.Generates ? null : "What answers at once is answered until the process ends.",
        ErrorCode.StoreUnavailable => door == Door.Models || door == Door.AnthropicModels ? "The list of models is in memory." : null,
        _ => null,
    };
}
