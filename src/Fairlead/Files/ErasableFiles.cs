using System.Globalization;
using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Files;

/// <summary>
/// Files in the erasure of a project: all of them. A file belongs to its project and does not say which key has uploaded it, so for other
/// erasures only the files of batches are looked at, by the batches. Thread-safe.
/// </summary>
internal sealed class ErasableFiles(IStorage storage, FileStore files, IFileContents contents) : IErasable
{
    private const int Portion = 20;

    /// <summary>After so many passes, the other stores go on, and these files are tried again later.</summary>
    private const int MaxPasses = 30;

    /// <summary>Marks that a file is left, in a cursor, after the number of the pass.</summary>
    private const char Waits = '!';

    private static readonly TimeSpan HeldPause = TimeSpan.FromSeconds(1);

    public string Name => "files";

    /// <summary>After the batches, which hold their input files.</summary>
    public int Order => 350;

    public IReadOnlyList<string> Tables { get; } = ["files", "file_chunks"];

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        if (target.Kind != ErasureKind.Project) return new ErasureStep(0, null);
        var colon = cursor.IndexOf(':', StringComparison.Ordinal);
        var (waits, after) = (cursor.Contains(Waits), cursor[(colon + 1)..]);
        var pass = colon < 0 ? 0 : int.Parse(cursor.AsSpan(0, colon).TrimEnd(Waits), CultureInfo.InvariantCulture);
        List<(string Id, bool IsHeld)> rows;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            rows = await connection.QueryAsync(
                $"""
                SELECT id, CASE WHEN holders > 0 OR status <> 'ready' THEN 1 ELSE 0 END AS held FROM files
                WHERE project_id = @project AND id > @after AND created_at <= @until ORDER BY id LIMIT {Portion}
                """,
                [("@project", target.Selector.TargetId), ("@after", after), ("@until", target.Until)],
                row => (row.Text("id"), row.Bool("held")), cancellationToken);
        }
        var erased = 0;
        foreach (var (id, isHeld) in rows)
        {
            // Its batch was cancelled and ends soon, or it is being uploaded.
            waits |= isHeld;
            if (isHeld) continue;
            await target.KeepAliveAsync();
            await contents.DeleteAsync(id, cancellationToken);
            await files.ForgetAsync(id, cancellationToken);
            erased++;
        }
        if (rows.Count == Portion) return new ErasureStep(erased, CursorOf(pass, waits, rows[^1].Id));
        if (!waits) return new ErasureStep(erased, null);
        return pass + 1 < MaxPasses ? new ErasureStep(erased, CursorOf(pass + 1, false, ""), HeldPause)
            : new ErasureStep(erased, null, LeftOut: Name);
    }

    private static string CursorOf(int pass, bool waits, string after) =>
        string.Create(CultureInfo.InvariantCulture, $"{pass}{(waits ? Waits.ToString() : "")}:{after}");
}
