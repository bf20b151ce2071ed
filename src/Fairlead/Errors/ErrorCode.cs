namespace Fairlead.Errors;

/// <summary>
/// Every way in which Fairlead refuses or fails a call. The list is closed: a new code is added here and in
/// <see cref="ErrorCatalogue"/>, and the tests then demand its documentation and a provocation over HTTP.
/// </summary>
public enum ErrorCode
{
    MalformedJson,
    InvalidParameter,
    MissingParameter,
    UnsupportedParameter,
    ContextLengthExceeded,
    IncompatibleInput,
    ModelNotFound,
    NotFound,
    MethodNotAllowed,
    ModelRetired,
    PayloadTooLarge,
    UnsupportedMediaType,
    Conflict,
    IdempotencyInProgress,
    IdempotencyConflict,

    MissingApiKey,
    InvalidApiKey,
    KeyExpired,
    KeyRevoked,
    InsufficientScope,
    ModelNotAllowed,
    ClassNotAllowed,
    AddressNotAllowed,

    RateLimitExceeded,
    QueueFull,
    DeadlineExceeded,

    ProviderError,
    ProviderUnavailable,
    ProviderTimeout,
    ProviderRejected,

    InternalError,
    StoreUnavailable,
    Overloaded,
    ShuttingDown,
}
