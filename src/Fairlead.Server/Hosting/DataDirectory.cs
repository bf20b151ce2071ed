namespace Fairlead.Server.Hosting;

internal static class DataDirectory
{
    /// <summary>Creates the folder if it is missing and checks that it can be written.</summary>
    /// <exception cref="StartException">It cannot.</exception>
    public static void Prepare(string path)
    {
        var full = Path.GetFullPath(path);
        try
        {
            Directory.CreateDirectory(full);
            var probe = Path.Combine(full, $".probe-{Environment.ProcessId}");
            File.WriteAllBytes(probe, []);
            File.Delete(probe);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new StartException(
                $"The data directory {full} cannot be written. Give this user write permission, or choose another folder with "
                + "FAIRLEAD_DATA or fairlead.dataDirectory.");
        }
    }
}
