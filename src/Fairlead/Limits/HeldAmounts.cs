namespace Fairlead.Limits;

/// <summary>
/// What the calls of one key to one model and of one class hold of budgets of money, by the hour in which they were accepted. Not
/// thread-safe: <see cref="OrganizationAccounts"/> guards it.
/// </summary>
internal sealed class HeldAmounts(string projectId, string keyId, string model, string @class, DateTimeOffset hour)
{
    private readonly DateTimeOffset _end = hour.AddHours(1);

    public string ProjectId { get; } = projectId;

    public string KeyId { get; } = keyId;

    public string Model { get; } = model;

    public string Class { get; } = @class;

    /// <summary>Start of the hour in UTC.</summary>
    public DateTimeOffset Hour { get; } = hour;

    /// <summary>Picodollars of all open reservations.</summary>
    public long Pico { get; set; }

    /// <summary>Reservations that are not settled.</summary>
    public int Open { get; set; }

    /// <summary>Whether it is no longer listed, because it held nothing.</summary>
    public bool IsRemoved { get; set; }

    /// <summary>The hour of a moment.</summary>
    public static DateTimeOffset HourOf(DateTimeOffset moment) =>
        new(moment.UtcTicks - (moment.UtcTicks % TimeSpan.TicksPerHour), TimeSpan.Zero);

    public bool Contains(DateTimeOffset moment) => Hour <= moment && moment < _end;
}
