using Fairlead.Streaming;

namespace Fairlead.Rescue;

/// <summary>A run that follows a lost one.</summary>
/// <param name="Events">Its events.</param>
/// <param name="Start">
/// If they are to start where the lost one ended: the start of what was sent. A run that starts like that has not continued but started again.
/// Null if they start at the beginning.
/// </param>
internal sealed record RescueRun(IEventSource Events, string? Start);
