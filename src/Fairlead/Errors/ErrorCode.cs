namespace Fairlead.Errors;

/// <summary>
/// Every way in which Fairlead refuses a call or fails it. The list is closed: a new code is added here and in
/// <see cref="ErrorCatalogue"/>, and tests then require its documentation and a request that provokes it.
/// </summary>
public enum ErrorCode
{
    MalformedJson,
    InvalidParameter,
    MissingParameter,
    UnsupportedParameter,
    ContextLengthExceeded,
    IncompatibleInput,
    ContentBlocked,
    ModelNotFound,
    NotFound,
    MethodNotAllowed,
    ModelRetired,
    PayloadTooLarge,
    UnsupportedMediaType,
    Conflict,
    IdempotencyInProgress,
    IdempotencyConflict,
    NotCached,
    ResultExpired,

    MissingApiKey,
    InvalidApiKey,
    KeyExpired,
    KeyRevoked,
    InsufficientScope,
    ModelNotAllowed,
    ClassNotAllowed,
    AddressNotAllowed,

    RateLimitExceeded,
    BudgetExceeded,
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
