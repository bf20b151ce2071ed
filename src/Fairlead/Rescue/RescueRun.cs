using Fairlead.Streaming;

namespace Fairlead.Rescue;

/// <summary>A run that follows a lost one.</summary>
/// <param name="Events">Its events.</param>
/// <param name="IsContinuation">Whether they start where the lost one ended, and not at the beginning.</param>
internal sealed record RescueRun(IEventSource Events, bool IsContinuation);
