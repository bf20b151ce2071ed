namespace Fairlead.Providers;

/// <summary>What a provider responded to a moderation request.</summary>
/// <param name="Status">Its HTTP status; null for none within the time.</param>
/// <param name="Body">Its body; empty unless the status is a success.</param>
internal readonly record struct ModerationReply(int? Status, byte[] Body);
