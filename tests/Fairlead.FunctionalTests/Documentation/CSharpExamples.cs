using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace Fairlead.FunctionalTests.Documentation;

/// <summary>
/// All C# examples in one assembly, compiled by the SDK's compiler: each one's statements become a method, their <c>using</c> lines stay above it.
/// What they print goes to a console of their own.
/// </summary>
internal static class CSharpExamples
{
    private const string Console = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Threading.Tasks;

        namespace Examples;

        public static class Console
        {
            public static readonly System.Text.StringBuilder Text = new();

            public static void Write(object value) => Text.Append(value);

            public static void WriteLine(object value) => Text.Append(value).Append('\n');
        }
        """;

    /// <summary>Compiles <paramref name="examples"/> and gives the assembly; the method of the one at index i is <c>Examples.Example{i}.RunAsync</c>.</summary>
    public static async Task<Assembly> CompileAsync(string folder, IReadOnlyList<Example> examples, string address, string key, CancellationToken cancellationToken)
    {
        var options = new StringBuilder("/nologo\n/target:library\n/langversion:latest\n/nullable:enable\n/nowarn:1701,1702,CS1998\n");
        options.Append("/out:\"").Append(Path.Combine(folder, "Examples.dll")).Append("\"\n");
        foreach (var reference in ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)) options.Append("/reference:\"").Append(reference).Append("\"\n");
        await WriteAsync("Console.cs", Console);
        for (var i = 0; i < examples.Count; i++)
        {
            var text = examples[i].Text.Replace(Example.Address, address, StringComparison.Ordinal)
                .Replace("Environment.GetEnvironmentVariable(\"FAIRLEAD_KEY\")", $"\"{key}\"", StringComparison.Ordinal);
            var lines = text.Split('\n');
            var begin = Array.FindLastIndex(lines, line => line.StartsWith("using ", StringComparison.Ordinal) && line.EndsWith(';') && !line.Contains('=', StringComparison.Ordinal)) + 1;
            await WriteAsync($"Example{i}.cs", $$"""
                {{string.Join('\n', lines[..begin])}}
                namespace Examples;
                public static class Example{{i}}
                {
                    public static async Task RunAsync()
                    {
                #line {{begin + 1}} "{{examples[i].Place}}"
                {{string.Join('\n', lines[begin..])}}
                    }
                }
                """);
        }
        var settings = Path.Combine(folder, "options.rsp");
        await File.WriteAllTextAsync(settings, options.ToString(), cancellationToken);
        var (exit, output) = await RunAsync("dotnet", ["exec", Compiler(), "@" + settings], folder, [], cancellationToken);
        Assert.True(exit == 0, output);
        return Assembly.LoadFrom(Path.Combine(folder, "Examples.dll"));

        async Task WriteAsync(string name, string source)
        {
            var path = Path.Combine(folder, name);
            await File.WriteAllTextAsync(path, source, cancellationToken);
            options.Append('"').Append(path).Append("\"\n");
        }
    }

    /// <summary>Runs a program and gives its exit code and everything it wrote.</summary>
    public static async Task<(int Exit, string Output)> RunAsync(string program, IEnumerable<string> arguments, string folder, IEnumerable<(string Name, string Value)> environment, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        var errors = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return (process.ExitCode, await output + await errors);
    }

    /// <summary>Compiles a whole program, with the implicit usings of a web project, to <paramref name="path"/>.</summary>
    public static async Task CompileProgramAsync(string folder, string source, string path, CancellationToken cancellationToken)
    {
        const string Usings = """
            global using System;
            global using System.Collections.Generic;
            global using System.IO;
            global using System.Linq;
            global using System.Net.Http;
            global using System.Net.Http.Json;
            global using System.Threading;
            global using System.Threading.Tasks;
            global using Microsoft.AspNetCore.Builder;
            global using Microsoft.AspNetCore.Hosting;
            global using Microsoft.AspNetCore.Http;
            global using Microsoft.AspNetCore.Routing;
            global using Microsoft.Extensions.Configuration;
            global using Microsoft.Extensions.DependencyInjection;
            global using Microsoft.Extensions.Hosting;
            global using Microsoft.Extensions.Logging;
            """;
        var options = new StringBuilder("/nologo\n/target:exe\n/langversion:latest\n/nullable:enable\n/nowarn:1701,1702,CS0436\n");
        options.Append("/out:\"").Append(path).Append("\"\n");
        foreach (var reference in ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)) options.Append("/reference:\"").Append(reference).Append("\"\n");
        foreach (var (name, text) in (ReadOnlySpan<(string, string)>)[("Usings.cs", Usings), ("Program.cs", source)])
        {
            File.WriteAllText(Path.Combine(folder, name), text);
            options.Append('"').Append(Path.Combine(folder, name)).Append("\"\n");
        }
        var settings = Path.Combine(folder, "options.rsp");
        await File.WriteAllTextAsync(settings, options.ToString(), cancellationToken);
        var (exit, output) = await RunAsync("dotnet", ["exec", Compiler(), "@" + settings], folder, [], cancellationToken);
        Assert.True(exit == 0, output);
    }

    // The SDK that builds these tests lies beside the runtime that runs them.
    private static string Compiler()
    {
        var root = new FileInfo(typeof(object).Assembly.Location).Directory!.Parent!.Parent!.Parent!.FullName;
        return Directory.GetFiles(Path.Combine(root, "sdk"), "csc.dll", SearchOption.AllDirectories).Where(f => f.Contains("bincore", StringComparison.Ordinal)).Order(StringComparer.Ordinal).Last();
    }
}
