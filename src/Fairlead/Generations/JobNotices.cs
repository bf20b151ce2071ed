namespace Fairlead.Generations;

/// <summary>Channels of the database's notifications about jobs.</summary>
internal static class JobNotices
{
    /// <summary>A job is in the queue.</summary>
    public const string Queued = "jobs";

    /// <summary>A generation was started or cancelled, or has ended. The subject is its id.</summary>
    public const string Changed = "generations";

    /// <summary>Events of a generation were written. The subject is its id.</summary>
    public const string Events = "generation_events";

    /// <summary>Asks the run of a generation to stop. The subject is the id of the generation.</summary>
    public const string Cancel = "generation_cancel";
}
