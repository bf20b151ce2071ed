namespace Fairlead.Dialects;

/// <summary>A provider's error as read from its body or event, before it is sanitized for clients.</summary>
/// <param name="Type">The provider's type or code.</param>
/// <param name="Message">The provider's text; must pass the allow-list before a client may see it.</param>
internal sealed record UpstreamError(string? Type, string? Message);
