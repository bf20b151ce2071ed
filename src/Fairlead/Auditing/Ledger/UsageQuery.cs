using Fairlead.Http;
using Fairlead.Pipeline;
using Fairlead.Storage;
using Microsoft.AspNetCore.Http;

namespace Fairlead.Auditing.Ledger;

/// <summary>The requested usage sums.</summary>
internal sealed record UsageQuery
{
    private static readonly TimeSpan Default = TimeSpan.FromDays(30);

    private static readonly TimeSpan Longest = TimeSpan.FromDays(366);

    /// <summary>A full hour; not before.</summary>
    public required DateTimeOffset From { get; init; }

    /// <summary>A full hour; before.</summary>
    public required DateTimeOffset To { get; init; }

    public IReadOnlyList<UsageGroup> Groups { get; init; } = [];

    public string? OrganizationId { get; init; }

    public string? ProjectId { get; init; }

    public string? KeyId { get; init; }

    public string? Model { get; init; }

    public string? Outcome { get; init; }

    /// <summary>Reads an operator's query.</summary>
    public static UsageQuery ReadAdmin(IQueryCollection query, TimeProvider time, out QueryReader reader)
    {
        reader = new QueryReader(query, "from", "to", "group_by", "organization_id", "project_id", "key_id", "model", "outcome");
        return Read(reader, time, UsageGroup.All) with { OrganizationId = reader.Text("organization_id"),
            ProjectId = reader.Text("project_id") };
    }

    /// <summary>Reads a caller's query, which is always for its own project.</summary>
    public static UsageQuery ReadOwn(IQueryCollection query, TimeProvider time, string projectId, out QueryReader reader)
    {
        reader = new QueryReader(query, "from", "to", "group_by", "key_id", "model", "outcome");
        return Read(reader, time, UsageGroup.Own) with { ProjectId = projectId };
    }

    private static UsageQuery Read(QueryReader reader, TimeProvider time, IReadOnlyList<UsageGroup> allowed)
    {
        var to = reader.Time("to") ?? time.GetUtcNow();
        to = new DateTimeOffset((to.Ticks + TimeSpan.TicksPerHour - 1) / TimeSpan.TicksPerHour * TimeSpan.TicksPerHour, TimeSpan.Zero);
        var from = reader.Time("from") ?? to - Default;
        from = new DateTimeOffset(from.Ticks / TimeSpan.TicksPerHour * TimeSpan.TicksPerHour, TimeSpan.Zero);
        if (from >= to) reader.AddError("to", "Must be later than from.");
        else if (to - from > Longest) reader.AddError("from", "From and to must be at most 366 days apart.");

        var groups = new List<UsageGroup>();
        foreach (var word in reader.Text("group_by")?.Split(',') ?? [])
        {
            if (allowed.FirstOrDefault(group => group.Word == word) is not { } group)
                reader.AddError("group_by", $"Each must be one of {string.Join(", ", allowed.Select(a => a.Word))}, separated by commas.");
            else if (groups.Contains(group)) reader.AddError("group_by", $"{word} occurs twice.");
            else groups.Add(group);
        }
        if (groups.Count(group => group.Member is null) > 1) reader.AddError("group_by", "Group by one of hour, day and month.");
        return new UsageQuery
        {
            From = from,
            To = to,
            Groups = groups,
            KeyId = reader.Text("key_id"),
            Model = reader.Text("model"),
            Outcome = reader.OneOf("outcome", AuditQuery.Outcomes),
        };
    }
}

/// <summary>A grouping of usage.</summary>
/// <param name="Word">Its name in <c>group_by</c>.</param>
/// <param name="Member">Its name in the response's <c>group</c>; null for a time span.</param>
/// <param name="Sql">Its SQL expression.</param>
internal sealed record UsageGroup(string Word, string? Member, string Sql)
{
    private static readonly UsageGroup Hour = new("hour", null, "hour")
    {
        Start = hour => hour,
        End = start => start.AddHours(1),
    };

    private static readonly UsageGroup Day = new("day", null, "hour / 86400000 * 86400000")
    {
        Start = StartOfDay,
        End = start => start.AddDays(1),
    };

    private static readonly UsageGroup Month =
        new("month", null, "CAST(strftime('%s', hour / 1000, 'unixepoch', 'start of month') AS INTEGER) * 1000")
        {
            PostgresSql = "CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp(hour / 1000) AT TIME ZONE 'UTC')) AS BIGINT) * 1000",
            Start = hour => StartOfDay(hour).AddDays(1 - hour.UtcDateTime.Day),
            End = start => start.AddMonths(1),
        };

    private static readonly UsageGroup Model = new("model", "model", "model") { OfReserved = amount => amount.Model };

    private static readonly UsageGroup Class = new("class", "class", "class") { OfReserved = amount => amount.Class };

    private static readonly UsageGroup Key = new("key", "key_id", "key_id") { OfReserved = amount => amount.KeyId };

    private static readonly UsageGroup Project = new("project", "project_id", "project_id") { OfReserved = amount => amount.ProjectId };

    private static readonly UsageGroup Organization =
        new("organization", "organization_id", "organization_id") { OfReserved = amount => amount.OrganizationId };

    private static readonly UsageGroup Outcome = new("outcome", "outcome", "outcome") { OfReserved = static _ => null };

    public static IReadOnlyList<UsageGroup> All { get; } = [Hour, Day, Month, Model, Class, Key, Project, Organization, Outcome];

    public static IReadOnlyList<UsageGroup> Own { get; } = [Hour, Day, Month, Model, Class, Key, Outcome];

    /// <summary>The end of a time span; null for other groupings.</summary>
    public Func<DateTimeOffset, DateTimeOffset>? End { get; private init; }

    /// <summary>The start of the time span that has an hour; null for other groupings.</summary>
    public Func<DateTimeOffset, DateTimeOffset>? Start { get; private init; }

    /// <summary>Its value of what is reserved; null for a time span.</summary>
    public Func<ReservedAmount, string?>? OfReserved { get; private init; }

    private string? PostgresSql { get; init; }

    /// <summary>The part of a time span that a query covers.</summary>
    public (DateTimeOffset From, DateTimeOffset To) Within(DateTimeOffset start, UsageQuery query)
    {
        var end = End!(start);
        return (start < query.From ? query.From : start, end > query.To ? query.To : end);
    }

    private static DateTimeOffset StartOfDay(DateTimeOffset moment) => new(moment.UtcDateTime.Date, TimeSpan.Zero);

    public string SqlFor(StorageProvider provider) => provider == StorageProvider.Postgres ? PostgresSql ?? Sql : Sql;
}
