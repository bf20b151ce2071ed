namespace Fairlead.Limits;

/// <summary>What became of an attempt to reserve.</summary>
internal enum ReserveStatus
{
    Reserved,

    /// <summary>A rate or the concurrency does not allow it now.</summary>
    Refused,

    /// <summary>The slice of a budget is too small.</summary>
    Short,

    /// <summary>The accounts were dropped because nothing had used them for a long time. Get them again.</summary>
    Dropped,
}
