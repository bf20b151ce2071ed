namespace Fairlead.Dialects;

/// <summary>What the server of one attempt requires of a forwarded body. The provider decides it for each attempt.</summary>
/// <param name="OmitsStreamOptions">The server rejects <c>stream_options</c>: the field is left out, and usage is estimated.</param>
/// <param name="UsesOlderNames">
/// The server expects <c>system</c> and <c>max_tokens</c>: they replace <c>developer</c> and <c>max_completion_tokens</c>.
/// </param>
/// <param name="HoldsToKnownFields">The server rejects unknown members and parts of messages.</param>
internal readonly record struct NativeBodyOptions(bool OmitsStreamOptions, bool UsesOlderNames, bool HoldsToKnownFields);
