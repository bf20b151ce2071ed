using Fairlead.Http;
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
        if (groups.Contains(UsageGroup.Day) && groups.Contains(UsageGroup.Hour))
            reader.AddError("group_by", "Group by day or by hour, not both.");
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
/// <param name="Span">Its length, for a time span.</param>
internal sealed record UsageGroup(string Word, string? Member, string Sql, TimeSpan Span)
{
    public static readonly UsageGroup Day = new("day", null, "hour / 86400000 * 86400000", TimeSpan.FromDays(1));

    public static readonly UsageGroup Hour = new("hour", null, "hour", TimeSpan.FromHours(1));

    private static readonly UsageGroup Model = new("model", "model", "model", default);

    private static readonly UsageGroup Class = new("class", "class", "class", default);

    private static readonly UsageGroup Key = new("key", "key_id", "key_id", default);

    private static readonly UsageGroup Project = new("project", "project_id", "project_id", default);

    private static readonly UsageGroup Organization = new("organization", "organization_id", "organization_id", default);

    private static readonly UsageGroup Outcome = new("outcome", "outcome", "outcome", default);

    public static IReadOnlyList<UsageGroup> All { get; } = [Day, Hour, Model, Class, Key, Project, Organization, Outcome];

    public static IReadOnlyList<UsageGroup> Own { get; } = [Day, Hour, Model, Class, Key, Outcome];
}
